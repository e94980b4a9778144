{{- define "swarmrace-sweep.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "swarmrace-sweep.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "swarmrace-sweep.name" . -}}
{{- contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "swarmrace-sweep.selectorLabels" -}}
app.kubernetes.io/name: {{ include "swarmrace-sweep.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "swarmrace-sweep.labels" -}}
{{ include "swarmrace-sweep.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "swarmrace-sweep.serviceAccountName" -}}
{{- .Values.serviceAccount.create | ternary (default (include "swarmrace-sweep.fullname" .) .Values.serviceAccount.name) (default "default" .Values.serviceAccount.name) -}}
{{- end -}}

{{- define "swarmrace-sweep.image" -}}
{{- $image := .Values.image -}}
{{- $place := empty $image.registry | ternary $image.repository (printf "%s/%s" $image.registry $image.repository) -}}
{{- empty $image.digest | ternary (printf "%s:%s" $place (default .Chart.AppVersion $image.tag)) (printf "%s@%s" $place $image.digest) -}}
{{- end -}}

{{/* The container of every step; takes the command's arguments. */}}
{{- define "swarmrace-sweep.container" -}}
{{- $ := index . 0 -}}
image: {{ include "swarmrace-sweep.image" $ | quote }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
command: [swarmrace]
args: {{ toJson (index . 1) }}
env:
  - {name: HOME, value: /tmp}
  {{- with $.Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - {name: sweep, mountPath: /sweep}
  - {name: scenario, mountPath: /scenario, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  {{- with $.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $.Values.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $.Values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
