{{/*
Parts of every pod. All take a dict: r (a release) and pod (its values: resources, security
contexts, extraEnv, extraVolumes, extraVolumeMounts, and where it goes).
*/}}

{{/* swarmrace.podSpec: what a pod's spec begins with. */}}
{{- define "swarmrace.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with .r.global.image.pullSecrets }}
imagePullSecrets: [{{ range . }}{name: {{ . | quote }}}, {{ end }}]
{{- end }}
{{- $keys := list "serviceAccountName" "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- include "swarmrace.given" (dict "of" (set (omit .pod "securityContext") "securityContext" .pod.podSecurityContext) "keys" (append $keys "securityContext")) }}
{{- end -}}

{{/* swarmrace.given: keys of a map that aren't empty, as YAML after a line break. Takes a dict: of, keys. */}}
{{- define "swarmrace.given" -}}
{{- range $key := .keys }}
{{- with get $.of $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* swarmrace.container: image, security context and resources of a container that runs swarmrace. */}}
{{- define "swarmrace.container" -}}
{{- $image := .r.global.image -}}
{{- $name := printf "%s:%s" $image.repository ($image.tag | default .r.constants.version) -}}
image: {{ include "swarmrace.image" (dict "r" .r "image" (list $name $image.digest | join "@" | trimSuffix "@")) }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- include "swarmrace.given" (dict "of" .pod "keys" (list "securityContext" "resources")) }}
{{- end -}}

{{/* swarmrace.image: an image, from global.imageRegistry where that is set. Takes r and image. */}}
{{- define "swarmrace.image" -}}
{{- with .r.global.imageRegistry -}}
{{- printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $.image "") | quote -}}
{{- else -}}
{{- .image | quote -}}
{{- end -}}
{{- end -}}

{{/* swarmrace.env: what every command in a pod reads. */}}
{{- define "swarmrace.env" -}}
- {name: SWARMRACE_RENDEZVOUS, value: "http://{{ .r.fullname }}-tracker:{{ .r.constants.trackerPort }}/{{ .r.hash }}"}
- {name: SWARMRACE_RELEASE_HASH, value: {{ .r.hash | quote }}}
- {name: SWARMRACE_SCENARIO, value: /scenario/scenario.json}
- {name: SWARMRACE_TOKEN_FILE, value: /token/token}
- {name: HOME, value: /tmp}
{{- with .pod.extraEnv }}{{ toYaml . | nindent 0 }}{{ end }}
{{- end -}}

{{/* swarmrace.mounts: the volumes below, in a container that runs swarmrace. */}}
{{- define "swarmrace.mounts" -}}
- {name: scenario, mountPath: /scenario, readOnly: true}
- {name: token, mountPath: /token, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- with .pod.extraVolumeMounts }}{{ toYaml . | nindent 0 }}{{ end }}
{{- end -}}

{{/* swarmrace.volumes: what every pod mounts. Takes tmpSize as well, 64MiB when absent. */}}
{{- define "swarmrace.volumes" -}}
{{- $token := .r.global.token -}}
- name: scenario
  configMap: {name: {{ .r.fullname }}-{{ .r.hash }}-scenario}
- name: token
  secret:
    secretName: {{ $token.existingSecret | default (printf "%s-token" .r.fullname) }}
    items: [{key: {{ $token.key | quote }}, path: token}]
- name: tmp
  emptyDir: {sizeLimit: {{ include "swarmrace.bytes" (.tmpSize | default "64MiB") | quote }}}
{{- with .pod.extraVolumes }}{{ toYaml . | nindent 0 }}{{ end }}
{{- end -}}
