{{/* swarmrace.sidecar: the node beside each of an entrant's runners, as JSON: the values in global.sidecars
under the entrant's family, otherwise under its kind; {} if there are none. Takes a dict: r, entrant. */}}
{{- define "swarmrace.sidecar" -}}
{{- $options := get .r.global.entrants .entrant -}}
{{- $name := without (list $options.family $options.kind) "auto" | compact | first -}}
{{- $given := get .r.sidecars $name | default dict -}}
{{- $known := hasKey (include "swarmrace.defaults" . | fromYaml).scalars (printf "sidecar-%s" $name) -}}
{{- $node := dict -}}
{{- if or $given $known -}}
  {{- $key := ternary (printf "sidecar-%s" $name) "sidecar" $known -}}
  {{- $node = mergeOverwrite (include "swarmrace.values" (dict "key" $key "values" $given) | fromJson) (pick $options "image" "arguments") -}}
{{- end -}}
{{- toJson $node -}}
{{- end -}}

{{/* swarmrace.node: the node as a native sidecar, under a loop that starts it cold when the runner asks. Also takes sidecar. */}}
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
    - {name: {{ $name | quote }}, value: {{ $value | quote }}}
    {{- end }}
    {{- with .sidecar.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .sidecar.metricsPort }}
  ports: [{name: node-metrics, containerPort: {{ . }}}]
  {{- end }}
  # Only for the loop: a node that can't start is a result, which the runner reports.
  startupProbe: {exec: {command: [/bin/sh, -c, test -s /control/status]}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 120}
  {{- include "swarmrace.given" (dict "of" .sidecar "keys" (list "securityContext" "resources")) | indent 2 }}
  volumeMounts:
    - {name: supervisor, mountPath: /supervisor, readOnly: true}
    - {name: control, mountPath: /control}
    - {name: work, mountPath: /work}
    - {name: tmp, mountPath: /tmp}
    {{- with .sidecar.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}
