{{/*
swarmrace.sidecar: the values of the node that runs beside each of an entrant's runners, as JSON:
those of global.sidecars named by its family, otherwise by its kind; {} when there are none. Takes a
dict: r, entrant.
*/}}
{{- define "swarmrace.sidecar" -}}
{{- $options := get .r.global.entrants .entrant -}}
{{- $family := $options.family | default "auto" -}}
{{- $name := eq $family "auto" | ternary $options.kind $family -}}
{{- $own := get .r.sidecars $name | default dict -}}
{{- $ours := hasKey (include "swarmrace.scalars" . | fromYaml) (printf "sidecar-%s" $name) -}}
{{- if or $own $ours -}}
{{- $values := include "swarmrace.values" (dict "key" (ternary (printf "sidecar-%s" $name) "sidecar" $ours) "values" $own) | fromJson -}}
{{- mergeOverwrite $values (pick $options "image" "arguments") | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* swarmrace.node: a native sidecar: the node under the loop that starts it cold when the runner asks. */}}
{{- define "swarmrace.node" -}}
- name: node
  image: {{ include "swarmrace.image" (dict "r" .r "image" .sidecar.image) }}
  imagePullPolicy: {{ .sidecar.pullPolicy }}
  restartPolicy: Always
  command: [/bin/sh, /supervisor/supervise.sh]
  args: {{ concat (.sidecar.command | default list) (.sidecar.arguments | default list) | toJson }}
  env:
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: SUPERVISE_CONTROL, value: /control}
    - {name: SUPERVISE_DATA, value: /work/node}
    - {name: HOME, value: /tmp}
    {{- range $name, $value := .sidecar.env }}
    - {name: {{ $name }}, value: {{ $value | quote }}}
    {{- end }}
    {{- with .sidecar.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .sidecar.metricsPort }}
  ports: [{name: node-metrics, containerPort: {{ . }}}]
  {{- end }}
  startupProbe: # of the loop: a node that can't start is a result, which the runner reports
    exec: {command: [/bin/sh, -c, test -s /control/status]}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 120
  {{- include "swarmrace.given" (dict "of" .sidecar "keys" (list "securityContext" "resources")) | indent 2 }}
  volumeMounts:
    - {name: supervisor, mountPath: /supervisor, readOnly: true}
    - {name: control, mountPath: /control}
    - {name: work, mountPath: /work}
    - {name: tmp, mountPath: /tmp}
    {{- with .sidecar.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}
