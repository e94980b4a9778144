{{/* Names and labels. All but the first take a dict: r, what swarmrace.release returned. */}}

{{/*
swarmrace.fullname: the release's part of names: at most 27 characters, so that with an
entrant (20), a hash (10), an index (3) and the dashes between it makes 63. A name that is changed to
fit gets 6 digits of its hash, so that my.release and my-release share none. Takes the root.
*/}}
{{- define "swarmrace.fullname" -}}
{{- $global := .Values.global | default dict -}}
{{- $wanted := $global.fullnameOverride | default (list .Release.Name ($global.nameOverride | default "") | join "-" | trimSuffix "-") -}}
{{- $name := regexReplaceAll "[^a-z0-9-]" (lower $wanted) "-" -}}
{{- if regexMatch "^[^a-z]" $name -}}{{- $name = printf "r%s" $name -}}{{- end -}}
{{- if or (ne $name $wanted) (gt (len $name) 27) -}}
  {{- $name = printf "%s-%s" (trunc 20 $name | trimSuffix "-") (sha256sum $wanted | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* swarmrace.job: name of an entrant's Job and Service. Takes entrant as well. */}}
{{- define "swarmrace.job" -}}
{{- printf "%s-%s-%s" .r.fullname .entrant .r.hash -}}
{{- end -}}

{{/* swarmrace.name: the label app.kubernetes.io/name. Takes name (the chart's own) as well. */}}
{{- define "swarmrace.name" -}}
{{- .r.global.nameOverride | default .name -}}
{{- end -}}

{{/* swarmrace.podLabels: what a pod is found by, and the user's own. Takes labels as well. */}}
{{- define "swarmrace.podLabels" -}}
{{- merge (include "swarmrace.selectorLabels" . | fromYaml) (.labels | default dict) | toYaml -}}
{{- end -}}

{{/* swarmrace.selectorLabels: stable while the race is. Takes name, component and, optional, entrant as well. */}}
{{- define "swarmrace.selectorLabels" -}}
app.kubernetes.io/name: {{ include "swarmrace.name" . }}
app.kubernetes.io/instance: {{ .r.name | quote }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: swarmrace-{{ .r.hash }}
{{- with .entrant }}
swarmrace/entrant: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* swarmrace.labels: of an object, its chart's version included. Takes root and, optional, labels (the user's) as well. */}}
{{- define "swarmrace.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" -}}
{{- $more := dict "app.kubernetes.io/version" .root.Chart.AppVersion "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" $chart -}}
{{- merge (include "swarmrace.selectorLabels" . | fromYaml) $more (.labels | default dict) | toYaml -}}
{{- end -}}
