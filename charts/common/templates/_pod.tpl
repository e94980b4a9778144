{{/*
common.pod: the pod template of an entrant's peers, as YAML. The only one there is; the race id
covers all of it, so nothing of the monitoring and nothing random may enter.

Takes a dict: scenario (common.scenario), entrant (its name), release, raceId.
*/}}
{{- define "common.pod" -}}
{{- $constants := include "common.constants" . | fromJson -}}
{{- $scenario := .scenario -}}
{{- $options := get $scenario.entrants .entrant -}}
{{- $peers := $scenario.peers -}}{{- $network := $scenario.race.network -}}
{{- $codex := eq $options.kind "codex" -}}
{{- $family := include "common.family" . | fromJson -}}
{{- $base := include "common.base" .release -}}
{{- $labels := include "common.labels.peer" . | fromYaml -}}
{{- $percent := ternary $scenario.codex.nodePercent 0 $codex -}}
{{- $shares := include "common.shares" (dict "scenario" $scenario "percent" $percent) | fromJson -}}
{{- $shaped := include "common.shaped" $network -}}
{{- $annotations := merge (include "common.conditions.annotations" $scenario | fromYaml) (dict "kubectl.kubernetes.io/default-container" "runner") $peers.annotations -}}
metadata:
  labels:
    {{- merge (dict) $labels (dict "app.kubernetes.io/version" $constants.version) $peers.labels | toYaml | nindent 4 }}
  annotations:
    {{- toYaml $annotations | nindent 4 }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if $codex }}
  shareProcessNamespace: true # the runner reads the node's CPU and memory
  {{- end }}
  subdomain: {{ include "common.job" . }}
  terminationGracePeriodSeconds: 30
  {{- with $scenario.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- include "common.security.pod" . | nindent 4 }}
  {{- with include "common.scheduling" (merge (dict "affinity" (include "common.affinity" . | fromJson)) $peers) }}
  {{- . | nindent 2 }}
  {{- end }}
  topologySpreadConstraints:
    - topologyKey: {{ $peers.spread.topologyKey | quote }}
      maxSkew: {{ $peers.spread.maxSkew }}
      whenUnsatisfiable: {{ $peers.spread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- toYaml $labels | nindent 10 }}
  {{- if or (and $shaped (eq $peers.conditions "tc")) $codex }}
  initContainers:
    {{- if and $shaped (eq $peers.conditions "tc") }}
    {{- include "common.container.shape" (merge (dict "shares" $shares) .) | nindent 4 }}
    {{- end }}
    {{- if $codex }}
    {{- include "common.container.node" (merge (dict "shares" $shares "family" $family) .) | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: runner
      {{- include "common.image" $scenario | nindent 6 }}
      args: [peer]
      env:
        {{- include "common.environment" . | nindent 8 }}
        - name: SWARMRACE_WORK_DIR
          value: /work/peer
        - name: SWARMRACE_METRICS_PORT
          value: {{ $constants.metricsPort | quote }}
        {{- with include "common.burst" $scenario }}
        - name: SWARMRACE_BURST_BYTES
          value: {{ . | quote }}
        {{- end }}
        {{- if $codex }}
        - name: SWARMRACE_CODEX_NODE
          value: {{ printf "http://127.0.0.1:%v" $constants.nodeApiPort | quote }}
        - name: SWARMRACE_CODEX_CONTROL
          value: /control
        - name: SWARMRACE_CODEX_METRICS
          value: {{ printf "http://127.0.0.1:%v/metrics" $family.metricsPort | quote }}
        {{- end }}
      envFrom:
        - configMapRef:
            name: {{ $base }}-environment
            optional: true
        - secretRef: # the user's own, for a push address with a password
            name: {{ $base }}-push
            optional: true
      ports:
        - name: metrics
          containerPort: {{ $constants.metricsPort }}
      securityContext:
        {{- include "common.security.container" . | nindent 8 }}
      resources:
        {{- toYaml $shares.runner | nindent 8 }}
      volumeMounts:
        {{- include "common.mounts" . | nindent 8 }}
        - name: work
          mountPath: /work
        {{- if $codex }}
        - name: control
          mountPath: /control
        {{- end }}
  volumes:
    - name: scenario
      configMap:
        name: {{ $base }}-{{ .raceId }}-scenario
    - name: token
      secret:
        secretName: {{ $scenario.token.existingSecret | default (printf "%s-token" $base) }}
        items:
          - key: {{ $scenario.token.key | quote }}
            path: token
    - name: tmp
      emptyDir:
        sizeLimit: "67108864"
    - name: work
      {{- if eq $peers.storage.kind "persistentVolumeClaim" }}
      ephemeral:
        volumeClaimTemplate:
          spec:
            accessModes: [ReadWriteOnce]
            {{- with $peers.storage.storageClassName }}
            storageClassName: {{ . | quote }}
            {{- end }}
            resources:
              requests:
                storage: {{ include "common.storage" $scenario | quote }}
      {{- else }}
      emptyDir:
        sizeLimit: {{ include "common.storage" $scenario | quote }}
      {{- end }}
    {{- if $codex }}
    - name: control
      emptyDir:
        sizeLimit: "16777216"
    - name: supervisor
      configMap:
        name: {{ $base }}-{{ .raceId }}-codex
        defaultMode: 0555
    {{- end }}
{{- end -}}

{{/*
common.affinity: the user's own, and what the spread adds, as JSON. Takes what common.pod takes.
*/}}
{{- define "common.affinity" -}}
{{- $peers := .scenario.peers -}}
{{- $affinity := deepCopy ($peers.affinity | default dict) -}}
{{- $labels := include "common.labels.peer" . | fromYaml -}}
{{- $everybody := omit $labels "swarmrace/entrant" "app.kubernetes.io/name" -}}
{{- $index := list "batch.kubernetes.io/job-completion-index" -}}
{{- $more := dict -}}
{{- if and $peers.spread.onePerNode $peers.spread.sameNodes -}}
  {{- /* Of no other index, whosoever: else one entrant's peer 1 takes the place that another's 0 has. */ -}}
  {{- $_ := set $more "podAntiAffinity" (dict "topologyKey" $peers.spread.topologyKey "labelSelector" (dict "matchLabels" $everybody) "mismatchLabelKeys" $index) -}}
{{- else if $peers.spread.onePerNode -}}
  {{- $_ := set $more "podAntiAffinity" (dict "topologyKey" $peers.spread.topologyKey "labelSelector" (dict "matchLabels" $labels)) -}}
{{- end -}}
{{- if $peers.spread.sameNodes -}}
  {{- $_ := set $more "podAffinity" (dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $everybody) "matchLabelKeys" $index) -}}
{{- end -}}
{{- range $kind, $term := $more -}}
  {{- $terms := get $affinity $kind | default dict -}}
  {{- $_ := set $terms "requiredDuringSchedulingIgnoredDuringExecution" (append ($terms.requiredDuringSchedulingIgnoredDuringExecution | default list) $term) -}}
  {{- $_ := set $affinity $kind $terms -}}
{{- end -}}
{{- toJson $affinity -}}
{{- end -}}

{{/* common.container.shape: sets the link's conditions by tc, then ends. */}}
{{- define "common.container.shape" -}}
# The one exception from the pod security level "restricted": tc needs root and NET_ADMIN.
- name: shape
  {{- include "common.image" .scenario | nindent 2 }}
  args: [shape]
  env:
    {{- include "common.environment" . | nindent 4 }}
  securityContext:
    runAsUser: 0
    runAsNonRoot: false
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
      add: [NET_ADMIN]
  resources:
    {{- toYaml .shares.runner | nindent 4 }}
  volumeMounts:
    {{- include "common.mounts" . | nindent 4 }}
{{- end -}}

{{/* common.container.node: the Codex node, a native sidecar under its supervising loop. */}}
{{- define "common.container.node" -}}
- name: node
  image: {{ (get .scenario.entrants .entrant).image | default .family.image | quote }}
  imagePullPolicy: {{ .family.pullPolicy }}
  restartPolicy: Always
  command: [/bin/sh, /supervisor/supervise.sh]
  args:
    {{- concat .family.command (get .scenario.entrants .entrant).arguments | toYaml | nindent 4 }}
  env:
    {{- include "common.environment.node" . | nindent 4 }}
  ports:
    - name: node-metrics
      containerPort: {{ .family.metricsPort }}
  startupProbe:
    # The supervisor, not the node: one that can't start is a result, which the runner reports.
    exec:
      command: [/bin/sh, -c, test -s /control/status]
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 120
  securityContext:
    {{- include "common.security.container" . | nindent 4 }}
  resources:
    {{- toYaml .shares.node | nindent 4 }}
  volumeMounts:
    - name: supervisor
      mountPath: /supervisor
      readOnly: true
    - name: control
      mountPath: /control
    - name: work
      mountPath: /work
    - name: tmp
      mountPath: /tmp
{{- end -}}

{{/* common.environment.node: what the supervising loop and the node read. */}}
{{- define "common.environment.node" -}}
{{- $constants := (include "common.constants" . | fromJson) -}}
{{- $prefix := .family.environmentPrefix -}}{{- $options := get .scenario.entrants .entrant -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: SUPERVISE_CONTROL
  value: /control
- name: SUPERVISE_DATA
  value: /work/node
{{- with .family.alone }}
- name: SUPERVISE_ALONE
  value: {{ . | quote }}
{{- end }}
- name: HOME
  value: /tmp
- name: {{ $prefix }}DATA_DIR
  value: /work/node
- name: {{ $prefix }}API_PORT
  value: {{ $constants.nodeApiPort | quote }}
- name: {{ $prefix }}API_BINDADDR
  value: 0.0.0.0
- name: {{ $prefix }}DISC_PORT
  value: {{ $constants.nodeDiscoveryPort | quote }}
- name: {{ $prefix }}LISTEN_ADDRS
  value: /ip4/$(POD_IP)/tcp/{{ $constants.nodeListenPort }}
- name: {{ $prefix }}LISTEN_IP
  value: $(POD_IP)
- name: {{ $prefix }}LISTEN_PORT
  value: {{ $constants.nodeListenPort | quote }}
- name: {{ $prefix }}NAT
  value: {{ .family.nat | quote }}
- name: {{ $prefix }}METRICS
  value: "true"
- name: {{ $prefix }}METRICS_ADDRESS
  value: 0.0.0.0
- name: {{ $prefix }}METRICS_PORT
  value: {{ .family.metricsPort | quote }}
- name: {{ $prefix }}LOG_LEVEL
  value: {{ ternary "WARN" "INFO" (eq $options.profile "tuned") }}
{{- if eq $options.profile "tuned" }}
- name: {{ $prefix }}BLOCK_MI
  value: 1d
{{- end }}
{{- with include "common.quota" . }}
- name: {{ $prefix }}STORAGE_QUOTA
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* common.family: the family of a Codex entrant's node, or an empty map. Takes what common.pod takes. */}}
{{- define "common.family" -}}
{{- $options := get .scenario.entrants .entrant -}}
{{- if eq $options.kind "codex" -}}
{{- get .scenario.codex.families (ternary "codex" $options.family (eq $options.family "auto")) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* common.quota: the quota a pod's node is given, or nothing where its own will do. */}}
{{- define "common.quota" -}}
{{- $options := get .scenario.entrants .entrant -}}
{{- $size := int64 .scenario.race.fileSize -}}
{{- $needed := add $size (div $size 100) 16777216 -}}
{{- if not (kindIs "invalid" $options.storageQuota) -}}
{{- int64 $options.storageQuota -}}
{{- else if gt $needed (int64 (include "common.constants" . | fromJson).nodeQuotaBytes) -}}
{{- $needed -}}
{{- end -}}
{{- end -}}

{{/* common.environment: what every command of a peer's pod reads: who it is and what is raced. */}}
{{- define "common.environment" -}}
{{- $constants := (include "common.constants" . | fromJson) -}}
- name: SWARMRACE_PEER
  valueFrom:
    fieldRef:
      fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
- name: SWARMRACE_ADDRESS
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: SWARMRACE_NODE
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: SWARMRACE_RACE_ID
  value: {{ .raceId | quote }}
- name: SWARMRACE_SCENARIO
  value: /scenario/scenario.json
- name: SWARMRACE_ENTRANT
  value: {{ .entrant | quote }}
- name: SWARMRACE_RENDEZVOUS
  value: {{ printf "http://%s:%v" (include "common.tracker" .release) $constants.trackerPort | quote }}
- name: SWARMRACE_TOKEN_FILE
  value: /token/token
- name: HOME
  value: /tmp
{{- end -}}

{{/* common.mounts: what every container of the runner's image mounts. */}}
{{- define "common.mounts" -}}
- name: scenario
  mountPath: /scenario
  readOnly: true
- name: token
  mountPath: /token
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end -}}
