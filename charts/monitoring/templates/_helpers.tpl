{{/* monitoring.context: what this chart's templates work with, as JSON; {} when disabled. */}}
{{- define "monitoring.context" -}}
{{- if and .Values.enabled (.Values.global).entrants -}}
{{- $scenario := include "common.checked" .Values.global | fromJson -}}
{{- $raceId := include "common.raceId" $scenario -}}
{{- include "monitoring.check" . -}}
{{- dict "release" .Release.Name "raceId" $raceId "base" (include "common.base" .Release.Name) "namespace" .Release.Namespace "constants" (include "common.constants" . | fromJson) | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* monitoring.check: fails where swarmrace.backends.kubernetes.pods.cluster_faults finds a fault in this chart's values. */}}
{{- define "monitoring.check" -}}
{{- $apart := (include "common.constants" . | fromJson).scrapesApartSeconds -}}
{{- $linger := float64 .Values.lingerSeconds -}}
{{- $least := addf (mulf 2 .Values.intervalSeconds) $apart -}}
{{- if and (ne .Values.scrape "none") (gt $linger 0.0) (lt $linger $least) -}}
  {{- fail (printf "\nscenario: 1 fault\n  monitoring.lingerSeconds: found %v, expected at least %v, or 0 to wait for no scraper: two answers at least %v s apart take up to two of monitoring.intervalSeconds more\n" $linger $least $apart) -}}
{{- end -}}
{{- end -}}

{{/* monitoring.metadata: name and labels of an object. Takes a dict: root, context, suffix, labels. */}}
{{- define "monitoring.metadata" -}}
name: {{ .context.base }}-{{ .suffix }}
{{- $own := include "common.metadata" (merge (dict "root" .root "name" "swarmrace" "component" "monitoring") .context) | fromYaml }}
labels:
  {{- merge $own.labels (.labels | default dict) | toYaml | nindent 2 }}
{{- end -}}

{{/* monitoring.peers: labels that all peers of the race have, and their Services. */}}
{{- define "monitoring.peers" -}}
app.kubernetes.io/instance: {{ .release | quote }}
app.kubernetes.io/component: peer
app.kubernetes.io/part-of: swarmrace-{{ .raceId }}
{{- end -}}
