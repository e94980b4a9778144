{{/*
swarmrace.peer: the pod template of an entrant's peers, as YAML. The release's hash covers all of it,
so nothing of the monitoring, nothing random and no version may enter. Takes a dict: r, entrant.
*/}}
{{- define "swarmrace.peer" -}}
{{- $r := .r -}}{{- $peers := $r.global.peers -}}{{- $network := $r.race.network -}}
{{- $labels := include "swarmrace.selectorLabels" (merge (dict "name" "swarm" "component" "peer") .) | fromYaml -}}
{{- $sidecar := include "swarmrace.sidecar" . | fromJson -}}
{{- $rates := include "swarmrace.rates" $r | fromYaml -}}
{{- $seeders := $network.seeders | default dict -}}
{{- $shaped := or $network.upload $network.download $network.delayMilliseconds $network.lossPercent $seeders.upload $seeders.download -}}
{{- $storage := include "swarmrace.storage" $r -}}
{{- $claimed := eq $peers.storage.kind "persistentVolumeClaim" -}}
{{- $resources := empty $sidecar | ternary $peers.resources ($sidecar.runnerResources | default dict) | deepCopy -}}
{{- range $kind, $amounts := $resources -}}
  {{- $room := dict "ephemeral-storage" (addf 201326592 (ternary 0 (int64 $storage) $claimed) | int64 | toString) -}}
  {{- if $amounts -}}{{- $_ := set $resources $kind (merge $amounts $room) -}}{{- end -}}
{{- end -}}
{{- $affinity := include "swarmrace.affinity" (dict "peers" $peers "labels" $labels) | fromJson -}}
{{- $pod := merge (dict "resources" $resources "affinity" $affinity) (omit $peers "resources" "affinity") -}}
{{- $parts := dict "r" $r "pod" $pod "entrant" .entrant "sidecar" $sidecar -}}
metadata:
  labels:
    {{- merge (deepCopy $labels) ($peers.labels | default dict) | toYaml | nindent 4 }}
  annotations:
    {{- merge (dict "kubectl.kubernetes.io/default-container" "runner") $rates ($peers.annotations | default dict) | toYaml | nindent 4 }}
spec:
  {{- include "swarmrace.podSpec" $parts | nindent 2 }}
  restartPolicy: Never
  subdomain: {{ include "swarmrace.job" . }}
  {{- if $sidecar }}
  shareProcessNamespace: true # the runner reads the node's CPU and memory
  {{- end }}
  topologySpreadConstraints:
    - {{- pick $peers.spread "topologyKey" "maxSkew" "whenUnsatisfiable" | toYaml | nindent 6 }}
      labelSelector: {matchLabels: {{ toJson $labels }}}
  {{- $tc := and $shaped (eq $peers.conditions "tc") }}
  {{- if or $tc $sidecar }}
  initContainers:
    {{- if $tc }}
    - name: shape # the one exception from the pod security level "restricted"
      {{- include "swarmrace.container" (dict "r" $r "pod" (set (omit $pod "securityContext") "securityContext" $peers.shapeSecurityContext)) | nindent 6 }}
      args: [shape]
      env:
        {{- include "swarmrace.peer.env" $parts | nindent 8 }}
      volumeMounts:
        {{- include "swarmrace.mounts" $parts | nindent 8 }}
    {{- end }}
    {{- if $sidecar }}
    {{- include "swarmrace.node" $parts | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: runner
      {{- include "swarmrace.container" $parts | nindent 6 }}
      args: [peer]
      env:
        {{- include "swarmrace.peer.env" $parts | nindent 8 }}
        - {name: SWARMRACE_WORK_DIR, value: /work/peer}
        - {name: SWARMRACE_STORAGE, value: {{ $storage | quote }}}
        - {name: SWARMRACE_METRICS_PORT, value: {{ $r.constants.metricsPort | quote }}}
        {{- if $shaped }}
        - {name: SWARMRACE_CONDITIONS, value: {{ $peers.conditions }}}
        - {name: SWARMRACE_BURST, value: {{ $peers.burst | empty | ternary "" (include "swarmrace.bytes" ($peers.burst | default 0)) | quote }}}
        {{- end }}
        {{- with $sidecar }}
        - {name: SWARMRACE_SIDECAR_CONTROL, value: /control}
        - {name: SWARMRACE_SIDECAR_API, value: "http://127.0.0.1:{{ .apiPort }}"}
        - {name: SWARMRACE_SIDECAR_METRICS, value: {{ .metricsPort | empty | ternary "" (printf "http://127.0.0.1:%v/metrics" .metricsPort) | quote }}}
        {{- end }}
      envFrom: # the monitoring's, and the user's own for a push address with a password
        - configMapRef: {name: {{ $r.fullname }}-environment, optional: true}
        - secretRef: {name: {{ $r.fullname }}-push, optional: true}
      ports: [{name: metrics, containerPort: {{ $r.constants.metricsPort }}}]
      volumeMounts:
        {{- include "swarmrace.mounts" $parts | nindent 8 }}
        - {name: work, mountPath: /work}
        {{- if $sidecar }}
        - {name: control, mountPath: /control}
        {{- end }}
  volumes:
    {{- include "swarmrace.volumes" $parts | nindent 4 }}
    - name: work
      {{- if $claimed }}
      {{- $class := $peers.storage.storageClassName }}
      ephemeral:
        volumeClaimTemplate:
          spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: {{ $storage | quote }}}}{{ with $class }}, storageClassName: {{ . | quote }}{{ end }}}
      {{- else }}
      emptyDir: {sizeLimit: {{ $storage | quote }}}
      {{- end }}
    {{- if $sidecar }}
    - name: control
      emptyDir: {sizeLimit: 16Mi}
    - name: supervisor
      configMap: {name: {{ $r.fullname }}-{{ $r.hash }}-supervisor, defaultMode: 0555}
    {{- end }}
{{- end -}}

{{/* swarmrace.peer.env: what both containers of swarmrace in a peer's pod read. */}}
{{- define "swarmrace.peer.env" -}}
{{- range $name, $path := dict "PEER" "metadata.annotations['batch.kubernetes.io/job-completion-index']" "ADDRESS" "status.podIP" "NODE" "spec.nodeName" -}}
- {name: SWARMRACE_{{ $name }}, valueFrom: {fieldRef: {fieldPath: {{ $path | quote }}}}}
{{ end -}}
- {name: SWARMRACE_ENTRANT, value: {{ .entrant | quote }}}
{{ include "swarmrace.env" . }}
{{- end -}}

{{/* swarmrace.rates: rates as annotations, where they are set by some. Takes a release. */}}
{{- define "swarmrace.rates" -}}
{{- $annotations := dict -}}{{- $how := .global.peers.conditions -}}
{{- range $key, $rate := dict "egress" .race.network.upload "ingress" .race.network.download -}}
  {{- $bits := $rate | empty | ternary 0 (include "swarmrace.bytes" ($rate | default 0) | mulf 8) -}}
  {{- if and $rate (eq $how "cni") -}}{{- $_ := set $annotations (printf "kubernetes.io/%s-bandwidth" $key) (int64 $bits | toString) -}}{{- end -}}
  {{- if and $rate (eq $how "kubeOvn") -}}{{- $_ := set $annotations (printf "ovn.kubernetes.io/%s_rate" $key) (divf $bits 1e6 | int64 | toString) -}}{{- end -}}
{{- end -}}
{{- toYaml $annotations -}}
{{- end -}}

{{/*
swarmrace.affinity: the user's own, and what the spread adds, as JSON: peer k of every entrant on one
node, no two peers of an entrant on one. Takes a dict: peers, labels (of an entrant's peers).
*/}}
{{- define "swarmrace.affinity" -}}
{{- $spread := .peers.spread -}}{{- $affinity := .peers.affinity | default dict | deepCopy -}}{{- $more := dict -}}
{{- $everybody := dict "labelSelector" (dict "matchLabels" (omit .labels "swarmrace/entrant")) -}}
{{- $index := list "batch.kubernetes.io/job-completion-index" -}}
{{- if $spread.sameNodes -}}
  {{- $_ := set $more "podAffinity" (merge (dict "topologyKey" "kubernetes.io/hostname" "matchLabelKeys" $index) $everybody) -}}
{{- end -}}
{{- if and $spread.onePerNode $spread.sameNodes -}}
  {{- $_ := set $more "podAntiAffinity" (merge (dict "topologyKey" $spread.topologyKey "mismatchLabelKeys" $index) $everybody) -}}
{{- else if $spread.onePerNode -}}
  {{- $_ := set $more "podAntiAffinity" (dict "topologyKey" $spread.topologyKey "labelSelector" (dict "matchLabels" .labels)) -}}
{{- end -}}
{{- range $kind, $term := $more -}}
  {{- $terms := get $affinity $kind | default dict -}}
  {{- $_ := set $affinity $kind (merge (dict "requiredDuringSchedulingIgnoredDuringExecution" (append ($terms.requiredDuringSchedulingIgnoredDuringExecution | default list) $term)) $terms) -}}
{{- end -}}
{{- toJson $affinity -}}
{{- end -}}
