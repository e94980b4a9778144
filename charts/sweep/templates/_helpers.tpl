{{/*
swarmrace-sweep.complete: puts the default in place of each value that is null, as if its key were deleted. Takes the root.
*/}}
{{- define "swarmrace-sweep.complete" -}}
{{- include "swarmrace-sweep.fill" (list .Values (include "swarmrace-sweep.defaults" . | fromYaml)) -}}
{{- end -}}

{{/* swarmrace-sweep.fill: the same for any map, in place. Takes a list: the map, its defaults. */}}
{{- define "swarmrace-sweep.fill" -}}
{{- $values := index . 0 -}}
{{- range $key, $default := index . 1 -}}
  {{- if kindIs "invalid" (index $values $key) -}}
    {{- $_ := set $values $key $default -}}
  {{- else if kindIs "map" $default -}}
    {{- include "swarmrace-sweep.fill" (list (index $values $key) $default) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* swarmrace-sweep.defaults: what values.yaml says of all that is no optional map. */}}
{{- define "swarmrace-sweep.defaults" -}}
name: sweep
scenario: {}
raceValues: {}
retries: 2
order: shuffled
failOn: incomplete
report: true
cellDeadlineSeconds: 86400
image: {repository: localhost/swarmrace-sweep, tag: "", digest: "", pullPolicy: IfNotPresent, pullSecrets: []}
claim: {existing: "", size: 20Gi, storageClassName: "", accessModes: [ReadWriteOnce]}
cron: {enabled: false, schedules: ["0 1 * * *"], timezone: Etc/UTC, suspend: false}
serviceAccount: {create: true, name: ""}
{{- end -}}

{{/* swarmrace-sweep.name: the label app.kubernetes.io/name. */}}
{{- define "swarmrace-sweep.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
swarmrace-sweep.fullname: name of all objects, at most 40 characters. A name that is changed to fit gets 6
digits of its hash, so that my.release and my-release share no name.
*/}}
{{- define "swarmrace-sweep.fullname" -}}
{{- $name := include "swarmrace-sweep.name" . -}}
{{- $release := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $wanted := .Values.fullnameOverride | default $release -}}
{{- $fits := replace "." "-" $wanted | trunc 40 | trimSuffix "-" -}}
{{- eq $fits $wanted | ternary $fits (printf "%s-%s" (trunc 33 $fits | trimSuffix "-") (sha256sum $wanted | trunc 6)) -}}
{{- end -}}

{{/* swarmrace-sweep.selectorLabels: of every pod. */}}
{{- define "swarmrace-sweep.selectorLabels" -}}
app.kubernetes.io/name: {{ include "swarmrace-sweep.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* swarmrace-sweep.labels: of every object. */}}
{{- define "swarmrace-sweep.labels" -}}
{{ include "swarmrace-sweep.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* swarmrace-sweep.serviceAccountName: of the workflow's pods. */}}
{{- define "swarmrace-sweep.serviceAccountName" -}}
{{- .Values.serviceAccount.create | ternary (default (include "swarmrace-sweep.fullname" .) .Values.serviceAccount.name) (default "default" .Values.serviceAccount.name) -}}
{{- end -}}

{{/* swarmrace-sweep.image: by digest, otherwise by tag; from global.imageRegistry if that is set. */}}
{{- define "swarmrace-sweep.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with (.Values.global).imageRegistry -}}
  {{- $repository = regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "" | printf "%s/%s" (trimSuffix "/" .) -}}
{{- end -}}
{{- $tag := printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- empty .Values.image.digest | ternary $tag (printf "%s@%s" $repository .Values.image.digest) -}}
{{- end -}}

{{/* swarmrace-sweep.container: the container of a step. Takes a list: the root, the command's arguments. */}}
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
