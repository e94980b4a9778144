{{/* swarmrace.aside: values of a pod that runs where the tracker runs, unless it has its own, as JSON. Takes a dict: root, key. */}}
{{- define "swarmrace.aside" -}}
{{- $own := include "swarmrace.values" (dict "key" .key "values" (get .root.Values .key)) | fromJson -}}
{{- $tracker := include "swarmrace.values" (dict "key" "tracker" "values" .root.Values.tracker) | fromJson -}}
{{- range $key, $value := pick $tracker "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
  {{- $_ := set $own $key (get $own $key | default $value) -}}
{{- end -}}
{{- toJson $own -}}
{{- end -}}
