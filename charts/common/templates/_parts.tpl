{{/* common.image: the runner's image of a container. Takes common.scenario. */}}
{{- define "common.image" -}}
{{- $tag := .image.tag | default (include "common.constants" . | fromJson).version -}}
image: {{ printf "%s:%s%s" .image.repository $tag (ternary (printf "@%s" .image.digest) "" (ne .image.digest "")) | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
{{- end -}}

{{/* common.security.pod: of the pod security level "restricted". */}}
{{- define "common.security.pod" -}}
{{- $user := (include "common.constants" . | fromJson).userId -}}
runAsNonRoot: true
runAsUser: {{ $user }}
runAsGroup: {{ $user }}
fsGroup: {{ $user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* common.security.container: of the pod security level "restricted". */}}
{{- define "common.security.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
common.scheduling: where a pod goes, as YAML. Takes a dict with nodeSelector, tolerations, affinity
and priorityClassName; what is empty is left out.
*/}}
{{- define "common.scheduling" -}}
{{- $found := dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
  {{- with get $ $key -}}{{- $_ := set $found $key . -}}{{- end -}}
{{- end -}}
{{- if $found -}}{{- toYaml $found -}}{{- end -}}
{{- end -}}

{{/*
common.labels: labels of an object. Takes a dict: release, raceId, name (what it is), component (its
role), and entrant where it has one. They are stable while the race is; what changes with the chart
stands in common.metadata.
*/}}
{{- define "common.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .release | quote }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: swarmrace-{{ .raceId }}
{{- with .entrant }}
swarmrace/entrant: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* common.labels.peer: labels of an entrant's peers. Takes what common.pod takes. */}}
{{- define "common.labels.peer" -}}
{{- $options := get .scenario.entrants .entrant -}}
{{- include "common.labels" (dict "release" .release "raceId" .raceId "name" $options.kind "component" "peer" "entrant" .entrant) -}}
{{- end -}}

{{/*
common.metadata: labels of an object itself, those of its chart included. Takes what common.labels
takes and root, the chart's own `.`.
*/}}
{{- define "common.metadata" -}}
labels:
  {{- include "common.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/*
common.resources: requests and limits from common.scenario's amounts; what is 0 is left out.
*/}}
{{- define "common.resources" -}}
{{- $resources := dict -}}
{{- range $kind := list "requests" "limits" -}}
  {{- $amounts := get $ $kind -}}{{- $found := dict -}}
  {{- if $amounts.cpu -}}{{- $_ := set $found "cpu" (printf "%dm" (int64 $amounts.cpu)) -}}{{- end -}}
  {{- if $amounts.memory -}}{{- $_ := set $found "memory" (printf "%d" (int64 $amounts.memory)) -}}{{- end -}}
  {{- if get $amounts "ephemeral-storage" -}}{{- $_ := set $found "ephemeral-storage" (printf "%d" (int64 (get $amounts "ephemeral-storage"))) -}}{{- end -}}
  {{- if $found -}}{{- $_ := set $resources $kind $found -}}{{- end -}}
{{- end -}}
{{- toJson $resources -}}
{{- end -}}

{{/*
common.shares: a peer's resources split over its containers; the shares add up to the whole.
Takes a dict: scenario, percent (the node's share, 0 without a node). Returns JSON: node, runner.
*/}}
{{- define "common.shares" -}}
{{- $percent := int64 .percent -}}{{- $node := dict -}}{{- $runner := dict -}}
{{- $storage := include "common.ephemeral" .scenario | int64 -}}
{{- range $kind := list "requests" "limits" -}}
  {{- $amounts := get $.scenario.peers.resources $kind -}}
  {{- $whole := dict "cpu" $amounts.cpu "memory" $amounts.memory "ephemeral-storage" $storage -}}
  {{- $left := dict -}}{{- $right := dict -}}
  {{- range $name, $total := $whole -}}
    {{- $part := div (mul (int64 $total) $percent) 100 -}}
    {{- $_ := set $left $name $part -}}
    {{- $_ := set $right $name (sub (int64 $total) $part) -}}
  {{- end -}}
  {{- $_ := set $node $kind $left -}}{{- $_ := set $runner $kind $right -}}
{{- end -}}
{{- dict "node" (include "common.resources" $node | fromJson) "runner" (include "common.resources" $runner | fromJson) | toJson -}}
{{- end -}}

{{/* common.shaped: "true" where network conditions are set. Takes global.race.network. */}}
{{- define "common.shaped" -}}
{{- $seeders := .seeders | default dict -}}
{{- if or .upload .download .delayMilliseconds .lossPercent $seeders.upload $seeders.download -}}true{{- end -}}
{{- end -}}

{{/* common.burst: the burst a peer is told of, or nothing. Takes common.scenario. */}}
{{- define "common.burst" -}}
{{- $network := .race.network -}}
{{- if include "common.shaped" (dict "upload" $network.upload "download" $network.download "seeders" $network.seeders) -}}
  {{- if .peers.burst -}}
{{- int64 .peers.burst -}}
  {{- else if ne .peers.conditions "tc" -}}
{{- int64 (include "common.constants" . | fromJson).annotatedBurstBytes -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* common.conditions.annotations: rates as annotations, where the scenario wants them so. */}}
{{- define "common.conditions.annotations" -}}
{{- $network := .race.network -}}
{{- if eq .peers.conditions "cni" -}}
  {{- with $network.upload }}
kubernetes.io/egress-bandwidth: {{ mul (int64 .) 8 | quote }}
  {{- end }}
  {{- with $network.download }}
kubernetes.io/ingress-bandwidth: {{ mul (int64 .) 8 | quote }}
  {{- end }}
{{- else if eq .peers.conditions "kubeOvn" -}}
  {{- with $network.upload }}
ovn.kubernetes.io/egress_rate: {{ div (int64 .) 125000 | quote }}
  {{- end }}
  {{- with $network.download }}
ovn.kubernetes.io/ingress_rate: {{ div (int64 .) 125000 | quote }}
  {{- end }}
{{- end -}}
{{- end -}}
