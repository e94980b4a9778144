{{/* swarmrace.peer: the pod template of an entrant's peers, as YAML. The release's hash covers it, so nothing
random, no version and no value of the monitoring may be in it. Takes a dict: r, entrant. */}}
{{- define "swarmrace.peer" -}}
{{- $r := .r -}}{{- $peers := $r.global.peers -}}
{{- $storage := include "swarmrace.storage" $r -}}
{{- $tc := and $r.shaped (eq $peers.conditions "tc") -}}
{{- $claimed := eq $peers.storage.kind "persistentVolumeClaim" -}}
{{- $claim := dict "accessModes" (list "ReadWriteOnce") "resources" (dict "requests" (dict "storage" $storage)) -}}
{{- with $peers.storage.storageClassName -}}{{- $_ := set $claim "storageClassName" . -}}{{- end -}}
{{- $sidecar := include "swarmrace.sidecar" . | fromJson -}}
{{- $resources := empty $sidecar | ternary $peers.resources $sidecar.runnerResources | default dict | deepCopy -}}
{{- $disk := dict "ephemeral-storage" (ternary 0 $storage $claimed | add 201326592 | toString) -}}
{{- range $resources -}}{{- with . -}}{{- $_ := merge . $disk -}}{{- end -}}{{- end -}}
{{- $labels := include "swarmrace.selectorLabels" (merge (dict "name" "swarm" "component" "peer") .) | fromYaml -}}
{{- $affinity := include "swarmrace.affinity" (dict "peers" $peers "labels" $labels) | fromJson -}}
{{- $pod := merge (dict "resources" $resources "affinity" $affinity) (omit $peers "resources" "affinity") -}}
{{- $parts := dict "r" $r "pod" $pod "entrant" .entrant "sidecar" $sidecar "storage" $storage -}}
{{- $rates := include "swarmrace.rates" $r | fromYaml -}}
metadata:
  labels: {{ merge (deepCopy $labels) ($peers.labels | default dict) | toJson }}
  annotations: {{ merge (dict "kubectl.kubernetes.io/default-container" "runner") $rates ($peers.annotations | default dict) | toJson }}
spec:
  {{- include "swarmrace.podSpec" $parts | nindent 2 }}
  restartPolicy: Never
  subdomain: {{ $r.fullname }}-{{ .entrant }}-{{ $r.hash }}
  shareProcessNamespace: {{ not (empty $sidecar) }} # the runner reads the node's CPU and memory
  topologySpreadConstraints:
    - {{- pick $peers.spread "topologyKey" "maxSkew" "whenUnsatisfiable" | toYaml | nindent 6 }}
      labelSelector: {matchLabels: {{ toJson $labels }}}
  {{- if or $tc $sidecar }}
  initContainers:
    {{- if $tc }}
    - name: shape # the one exception to the pod security level "restricted"
      args: [shape]
      {{- include "swarmrace.peer.container" (set (deepCopy $parts) "pod" (set (deepCopy $pod) "securityContext" $peers.shapeSecurityContext)) | nindent 6 }}
    {{- end }}
    {{- if $sidecar }}
    {{- include "swarmrace.node" $parts | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: runner
      args: [peer]
      {{- include "swarmrace.peer.container" $parts | nindent 6 }}
      envFrom: # the monitoring's, and from the user's own Secret a push address with a password
        - configMapRef: {name: {{ $r.fullname }}-environment, optional: true}
        - secretRef: {name: {{ $r.fullname }}-push, optional: true}
      ports: [{name: metrics, containerPort: {{ $r.constants.metricsPort }}}]
  volumes:
    {{- include "swarmrace.volumes" $parts | nindent 4 }}
    - name: work
      {{- if $claimed }}
      ephemeral: {volumeClaimTemplate: {spec: {{ toJson $claim }}}}
      {{- else }}
      emptyDir: {sizeLimit: {{ $storage | quote }}}
      {{- end }}
    {{- if $sidecar }}
    - {name: control, emptyDir: {sizeLimit: 16Mi}}
    - {name: supervisor, configMap: {name: {{ $r.fullname }}-{{ $r.hash }}-supervisor, defaultMode: 0555}}
    {{- end }}
{{- end -}}

{{/* swarmrace.peer.container: what runner and shape have in common. Also takes entrant, sidecar, storage. */}}
{{- define "swarmrace.peer.container" -}}
{{- include "swarmrace.container" . }}
env:
  - {name: SWARMRACE_ENTRANT, value: {{ .entrant | quote }}}
  - {name: SWARMRACE_PEER, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}}
  - {name: SWARMRACE_ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
  - {name: SWARMRACE_NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  {{- include "swarmrace.env" . | nindent 2 }}
  - {name: SWARMRACE_WORK_DIR, value: /work/peer}
  - {name: SWARMRACE_STORAGE, value: {{ .storage | quote }}}
  - {name: SWARMRACE_METRICS_PORT, value: {{ .r.constants.metricsPort | quote }}}
  {{- if .r.shaped }}
  - {name: SWARMRACE_CONDITIONS, value: {{ .pod.conditions }}}
  - {name: SWARMRACE_BURST, value: "{{ with .pod.burst }}{{ include "swarmrace.bytes" . }}{{ end }}"}
  {{- end }}
  {{- with .sidecar }}
  - {name: SWARMRACE_SIDECAR_CONTROL, value: /control}
  - {name: SWARMRACE_SIDECAR_API, value: "http://127.0.0.1:{{ .apiPort }}"}
  - {name: SWARMRACE_SIDECAR_METRICS, value: "{{ with .metricsPort }}http://127.0.0.1:{{ . }}/metrics{{ end }}"}
  {{- end }}
volumeMounts:
  {{- include "swarmrace.mounts" . | nindent 2 }}
  - {name: work, mountPath: /work}
  {{- if .sidecar }}
  - {name: control, mountPath: /control}
  {{- end }}
{{- end -}}

{{/* swarmrace.rates: the rates as a network plugin's annotations. Takes a release. */}}
{{- define "swarmrace.rates" -}}
{{- range $way, $rate := dict "egress" .race.network.upload "ingress" .race.network.download }}
{{- if and $rate (eq $.global.peers.conditions "cni") }}
kubernetes.io/{{ $way }}-bandwidth: {{ include "swarmrace.bytes" $rate | mul 8 | quote }}
{{- else if and $rate (eq $.global.peers.conditions "kubeOvn") }}
ovn.kubernetes.io/{{ $way }}_rate: {{ div (include "swarmrace.bytes" $rate | mul 8) 1000000 | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* swarmrace.affinity: the user's own and what the spread adds, as JSON: peer k of every entrant on the same
node, no two peers of an entrant on one. Takes a dict: peers, labels (of an entrant's peers). */}}
{{- define "swarmrace.affinity" -}}
{{- $spread := .peers.spread -}}{{- $affinity := .peers.affinity | default dict | deepCopy -}}{{- $terms := dict -}}
{{- $everyone := dict "matchLabels" (omit .labels "swarmrace/entrant") -}}
{{- $index := list "batch.kubernetes.io/job-completion-index" -}}
{{- if $spread.sameNodes -}}
  {{- $_ := set $terms "podAffinity" (dict "topologyKey" "kubernetes.io/hostname" "labelSelector" $everyone "matchLabelKeys" $index) -}}
{{- end -}}
{{- if $spread.onePerNode -}}
  {{- $apart := ternary (dict "labelSelector" $everyone "mismatchLabelKeys" $index) (dict "labelSelector" (dict "matchLabels" .labels)) $spread.sameNodes -}}
  {{- $_ := set $terms "podAntiAffinity" (set $apart "topologyKey" $spread.topologyKey) -}}
{{- end -}}
{{- range $kind, $term := $terms -}}
  {{- $own := get $affinity $kind | default dict -}}
  {{- $required := append ($own.requiredDuringSchedulingIgnoredDuringExecution | default list) $term -}}
  {{- $_ := set $affinity $kind (set $own "requiredDuringSchedulingIgnoredDuringExecution" $required) -}}
{{- end -}}
{{- toJson $affinity -}}
{{- end -}}
