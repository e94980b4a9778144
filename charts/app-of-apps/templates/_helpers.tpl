{{/*
swarmrace-apps.complete: puts the default in place of each value that is null, as if its key were deleted. Takes the root.
*/}}
{{- define "swarmrace-apps.complete" -}}
{{- include "swarmrace-apps.fill" (list .Values (include "swarmrace-apps.defaults" . | fromYaml)) -}}
{{- end -}}

{{/* swarmrace-apps.fill: the same for any map, in place. Takes a list: the map, its defaults. */}}
{{- define "swarmrace-apps.fill" -}}
{{- $values := index . 0 -}}
{{- range $key, $default := index . 1 -}}
  {{- if kindIs "invalid" (index $values $key) -}}
    {{- $_ := set $values $key $default -}}
  {{- else if kindIs "map" $default -}}
    {{- include "swarmrace-apps.fill" (list (index $values $key) $default) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* swarmrace-apps.defaults: what values.yaml says of all that is no optional map. */}}
{{- define "swarmrace-apps.defaults" -}}
sweeps: []
raceValues: {}
source: {repoURL: "", targetRevision: "", path: charts/swarmrace, chart: ""}
argocd: {namespace: argocd, project: default, server: "https://kubernetes.default.svc", configMap: argocd-cm}
image: {repository: localhost/swarmrace, tag: "", digest: "", pullPolicy: IfNotPresent, pullSecrets: []}
claim: {existing: "", size: 20Gi, storageClassName: "", accessModes: [ReadWriteOnce]}
token: {existingSecret: "", key: token}
networkPolicy: {enabled: true, apiPorts: [443, 6443]}
{{- end -}}

{{/* swarmrace-apps.name: the label app.kubernetes.io/name. */}}
{{- define "swarmrace-apps.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
swarmrace-apps.fullname: name of all objects, at most 40 characters. A name that is changed to fit gets 6
digits of its hash, so that my.release and my-release share no name.
*/}}
{{- define "swarmrace-apps.fullname" -}}
{{- $name := include "swarmrace-apps.name" . -}}
{{- $release := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $wanted := .Values.fullnameOverride | default $release -}}
{{- $fits := replace "." "-" $wanted | trunc 40 | trimSuffix "-" -}}
{{- eq $fits $wanted | ternary $fits (printf "%s-%s" (trunc 33 $fits | trimSuffix "-") (sha256sum $wanted | trunc 6)) -}}
{{- end -}}

{{- define "swarmrace-apps.selectorLabels" -}}
app.kubernetes.io/name: {{ include "swarmrace-apps.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "swarmrace-apps.labels" -}}
{{ include "swarmrace-apps.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* swarmrace-apps.image: its tag, and its digest if that is set; from global.imageRegistry if that is set. */}}
{{- define "swarmrace-apps.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with (.Values.global).imageRegistry -}}
  {{- $repository = regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "" | printf "%s/%s" (trimSuffix "/" .) -}}
{{- end -}}
{{- $tag := printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- empty .Values.image.digest | ternary $tag (printf "%s@%s" $tag .Values.image.digest) -}}
{{- end -}}

{{- define "swarmrace-apps.claim" -}}
{{- default (include "swarmrace-apps.fullname" .) .Values.claim.existing -}}
{{- end -}}

{{- define "swarmrace-apps.secret" -}}
{{- default (printf "%s-token" (include "swarmrace-apps.fullname" .)) .Values.token.existingSecret -}}
{{- end -}}

{{/*
swarmrace-apps.app: name of a cell's Application and release, at most 27 characters: the chart `swarmrace`
doesn't change such a name, so the names of its objects are known here. Takes a list: root, cell.
*/}}
{{- define "swarmrace-apps.app" -}}
{{- $ := index . 0 -}}
{{- $wanted := printf "%s-%s" $.Release.Name (index . 1).name -}}
{{- $name := regexReplaceAll "[^a-z0-9-]" (lower $wanted) "-" -}}
{{- if regexMatch "^[^a-z]" $name -}}{{- $name = printf "r%s" $name -}}{{- end -}}
{{- if or (ne $name $wanted) (gt (len $name) 27) -}}
  {{- $name = printf "%s-%s" (trunc 20 $name | trimSuffix "-") (sha256sum $wanted | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* swarmrace-apps.apps: the names of all cells' Applications, as a JSON array. Takes the root. */}}
{{- define "swarmrace-apps.apps" -}}
{{- $apps := list -}}
{{- range $sweep := .Values.sweeps -}}
  {{- range $cell := $sweep.cells -}}{{- $apps = append $apps (include "swarmrace-apps.app" (list $ $cell)) -}}{{- end -}}
{{- end -}}
{{- toJson $apps -}}
{{- end -}}

{{/* swarmrace-apps.shared: values of every race, over those of its cell, as JSON. Takes the root. */}}
{{- define "swarmrace-apps.shared" -}}
{{- $image := pick .Values.image "repository" "tag" "digest" "pullPolicy" "pullSecrets" -}}
{{- $token := dict "existingSecret" (include "swarmrace-apps.secret" .) "key" .Values.token.key -}}
{{- $global := dict "image" $image "token" $token -}}
{{- with (.Values.global).imageRegistry -}}{{- $_ := set $global "imageRegistry" . -}}{{- end -}}
{{- mergeOverwrite (deepCopy .Values.raceValues) (dict "global" $global) | toJson -}}
{{- end -}}

{{/*
swarmrace-apps.values: all values of a cell's release, as JSON. Only the health of the verdict's Job decides
whether Argo CD goes on. Takes a dict: root, sweep, cell, app.
*/}}
{{- define "swarmrace-apps.values" -}}
{{- $fullname := include "swarmrace-apps.fullname" .root -}}
{{- $values := mergeOverwrite (deepCopy .cell.values) (include "swarmrace-apps.shared" .root | fromJson) -}}
{{- $race := $values.global.race -}}
{{- $_ := set $race "attempt" (add (int64 (default 1 $race.attempt)) (int64 (default 1 .cell.attempt)) -1) -}}
{{- $unjudged := dict "argocd.argoproj.io/ignore-healthcheck" "true" -}}
{{- range $chart := list "tracker" "swarm" -}}
  {{- $own := get $values $chart | default dict -}}
  {{- $_ := set $values $chart (mergeOverwrite $own (dict "annotations" $unjudged)) -}}
{{- end -}}
{{- $_ := set $values "judge" (mergeOverwrite ($values.judge | default dict) (dict "enabled" false)) -}}
{{- $verdict := $values.verdict | default dict -}}
{{- $job := dict "fieldRef" (dict "fieldPath" "metadata.labels['batch.kubernetes.io/job-name']") -}}
{{- $env := list
  (dict "name" "SWARMRACE_SWEEP" "value" (printf "/sweep/%s" .sweep.name))
  (dict "name" "SWARMRACE_JOB" "valueFrom" $job)
  (dict "name" "SWARMRACE_TRACKER" "value" (printf "%s-tracker" .app)) -}}
{{- $sources := list
  (dict "serviceAccountToken" (dict "path" "token" "expirationSeconds" 3607))
  (dict "configMap" (dict "name" "kube-root-ca.crt" "items" (list (dict "key" "ca.crt" "path" "ca.crt"))))
  (dict "downwardAPI" (dict "items" (list (dict "path" "namespace" "fieldRef" (dict "fieldPath" "metadata.namespace"))))) -}}
{{- $volumes := list
  (dict "name" "sweep" "persistentVolumeClaim" (dict "claimName" (include "swarmrace-apps.claim" .root)))
  (dict "name" "account" "projected" (dict "sources" $sources)) -}}
{{- $mounts := list
  (dict "name" "sweep" "mountPath" "/sweep")
  (dict "name" "account" "mountPath" "/var/run/secrets/kubernetes.io/serviceaccount" "readOnly" true) -}}
{{- $own := dict
  "enabled" true
  "serviceAccountName" (printf "%s-verdict" $fullname)
  "extraEnv" (concat ($verdict.extraEnv | default list) $env)
  "extraVolumes" (concat ($verdict.extraVolumes | default list) $volumes)
  "extraVolumeMounts" (concat ($verdict.extraVolumeMounts | default list) $mounts) -}}
{{- $_ := set $values "verdict" (mergeOverwrite $verdict $own) -}}
{{- toJson $values -}}
{{- end -}}

{{/* swarmrace-apps.listing: the sweeps that the first Job judges and begins, as JSON. Takes the root. */}}
{{- define "swarmrace-apps.listing" -}}
{{- $sweeps := list -}}
{{- range $sweep := .Values.sweeps -}}
  {{- $cells := list -}}
  {{- range $cell := $sweep.cells -}}
    {{- $app := include "swarmrace-apps.app" (list $ $cell) -}}
    {{- $values := include "swarmrace-apps.values" (dict "root" $ "sweep" $sweep "cell" $cell "app" $app) | fromJson -}}
    {{- $cells = append $cells (merge (dict "values" $values) (pick $cell "id" "name" "attempt")) -}}
  {{- end -}}
  {{- $scenario := mergeOverwrite (deepCopy $sweep.scenario) (include "swarmrace-apps.shared" $ | fromJson) -}}
  {{- $sweeps = append $sweeps (dict "name" $sweep.name "scenario" $scenario "cells" $cells) -}}
{{- end -}}
{{- dict "sweeps" $sweeps | toJson -}}
{{- end -}}
