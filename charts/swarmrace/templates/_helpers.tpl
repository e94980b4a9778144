{{/* swarmrace.aside: values of a pod that goes where the tracker goes, unless it says otherwise, as JSON. Takes a dict: root, key. */}}
{{- define "swarmrace.aside" -}}
{{- $own := include "swarmrace.values" (dict "key" .key "values" (get .root.Values .key | default dict)) | fromJson -}}
{{- $tracker := include "swarmrace.values" (dict "key" "tracker" "values" (.root.Values.tracker | default dict)) | fromJson -}}
{{- merge $own (pick $tracker "nodeSelector" "tolerations" "affinity" "priorityClassName") | toJson -}}
{{- end -}}

{{/* swarmrace.judged: all values, without what Helm puts under each chart's, as JSON. Takes the root. */}}
{{- define "swarmrace.judged" -}}
{{- $values := omit .Values "common" -}}
{{- range $chart := list "tracker" "swarm" "monitoring" -}}
  {{- $_ := set $values $chart (omit (get $values $chart | default dict) "global" "common") -}}
{{- end -}}
{{- toPrettyJson $values -}}
{{- end -}}
