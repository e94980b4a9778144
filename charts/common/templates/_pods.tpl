{{/* Parts of every pod. All take a dict: r (a release), pod (the pod's values). */}}

{{/* swarmrace.podSpec: the head of a pod's spec. */}}
{{- define "swarmrace.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30
{{- with .r.global.image.pullSecrets }}
imagePullSecrets: [{{ range . }}{name: {{ . | quote }}}, {{ end }}]
{{- end }}
{{- with .pod.podSecurityContext }}
securityContext: {{ toJson . }}
{{- end }}
{{- include "swarmrace.given" (dict "of" .pod "keys" (list "serviceAccountName" "nodeSelector" "tolerations" "affinity" "priorityClassName")) }}
{{- end -}}

{{/* swarmrace.given: the keys of a map that aren't empty, as YAML after a line break. Takes a dict: of, keys. */}}
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
image: {{ include "swarmrace.image" (dict "r" .r "image" (list $name $image.digest | compact | join "@")) }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- include "swarmrace.given" (dict "of" .pod "keys" (list "securityContext" "resources")) }}
{{- end -}}

{{/* swarmrace.image: an image, from global.imageRegistry if that is set. Takes r and image. */}}
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

{{/* swarmrace.volumes: what every pod mounts. Also takes tmpSize, 64MiB if absent. */}}
{{- define "swarmrace.volumes" -}}
- name: scenario
  configMap: {name: {{ .r.fullname }}-{{ .r.hash }}-scenario}
- name: token
  secret:
    secretName: {{ .r.global.token.existingSecret | default (printf "%s-token" .r.fullname) | quote }}
    items: [{key: {{ .r.global.token.key | quote }}, path: token}]
- name: tmp
  emptyDir: {sizeLimit: {{ include "swarmrace.bytes" (.tmpSize | default "64MiB") | quote }}}
{{- with .pod.extraVolumes }}{{ toYaml . | nindent 0 }}{{ end }}
{{- end -}}
