{{/* Names and labels. All but the first take a dict: r, a release (swarmrace.release). */}}

{{/* swarmrace.fullname: prefix of all names, at most 27 characters: with an entrant (20), the hash (10), an
index (3) and dashes a name has at most 63. A release name that is no such prefix gets 6 digits of its
hash, so that my.release and my-release share no name. Takes the root. */}}
{{- define "swarmrace.fullname" -}}
{{- $wanted := .Values.global.fullnameOverride | default (list .Release.Name .Values.global.nameOverride | compact | join "-") -}}
{{- $name := regexReplaceAll "[^a-z0-9-]" (lower $wanted) "-" -}}
{{- if regexMatch "^[^a-z]" $name -}}{{- $name = printf "r%s" $name -}}{{- end -}}
{{- if or (ne $name $wanted) (gt (len $name) 27) -}}
  {{- $name = printf "%s-%s" (trunc 20 $name | trimSuffix "-") (sha256sum $wanted | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* swarmrace.name: the label app.kubernetes.io/name. Also takes name, the chart's own. */}}
{{- define "swarmrace.name" -}}
{{- .r.global.nameOverride | default .name -}}
{{- end -}}

{{/* swarmrace.selectorLabels: the same as long as the race is. Also takes name, component and, for peers, entrant. */}}
{{- define "swarmrace.selectorLabels" -}}
app.kubernetes.io/name: {{ include "swarmrace.name" . | quote }}
app.kubernetes.io/instance: {{ .r.name | quote }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: swarmrace-{{ .r.hash }}
{{- with .entrant }}
swarmrace/entrant: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* swarmrace.podLabels: of a pod. Also takes labels, the user's own. */}}
{{- define "swarmrace.podLabels" -}}
{{- merge (include "swarmrace.selectorLabels" . | fromYaml) (.labels | default dict) | toYaml -}}
{{- end -}}

{{/* swarmrace.labels: of any other object. Also takes root and labels, the user's own. */}}
{{- define "swarmrace.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" -}}
{{- $about := dict "app.kubernetes.io/version" .root.Chart.AppVersion "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" $chart -}}
{{- merge (include "swarmrace.selectorLabels" . | fromYaml) $about (.labels | default dict) | toYaml -}}
{{- end -}}
