{{/* swarmrace.release: what the templates of a release share, as JSON: global (the values over the model's
defaults), race (a matrix of one cell resolved), shaped (whether it sets a network condition), sidecars (as
given), name, fullname, hash, constants. Without entrants it is {}. Takes the root. */}}
{{- define "swarmrace.release" -}}
{{- $global := include "swarmrace.values" (dict "key" "global" "values" .Values.global) | fromJson -}}
{{- $r := dict -}}
{{- if $global.entrants -}}
  {{- $race := omit $global.race "matrix" -}}
  {{- range $axis, $values := $global.race.matrix -}}
    {{- with $values -}}{{- $_ := set $race $axis (first .) -}}{{- end -}}
  {{- end -}}
  {{- include "swarmrace.prune" $race -}}
  {{- $shaped := omit $race.network "queueMilliseconds" | values | compact | empty | not -}}
  {{- $r = dict "global" (omit $global "sidecars") "race" $race "shaped" $shaped "sidecars" (.Values.global.sidecars | default dict) "constants" (include "swarmrace.defaults" . | fromYaml).constants -}}
  {{- $r = merge (dict "name" .Release.Name "fullname" (include "swarmrace.fullname" .) "hash" (include "swarmrace.hash" $r)) $r -}}
{{- end -}}
{{- toJson $r -}}
{{- end -}}

{{/* swarmrace.hash: 10 hexadecimal digits of a hash of what is raced and of every entrant's pod template. Each
name in it is "x", and the templates are parsed, so that neither another name nor a comment makes a new race.
Takes a release without names. */}}
{{- define "swarmrace.hash" -}}
{{- $r := merge (dict "name" "x" "fullname" "x" "hash" "x" "global" (omit .global "nameOverride")) (omit . "global") -}}
{{- $parts := list .constants.supervisor .race .global.entrants -}}
{{- range $entrant, $_ := .global.entrants -}}
  {{- $parts = append $parts (include "swarmrace.peer" (dict "r" $r "entrant" $entrant) | fromYaml) -}}
{{- end -}}
{{- toJson $parts | sha256sum | trunc 10 -}}
{{- end -}}

{{/* swarmrace.values: values over the model's defaults, as JSON. Null is as if the key were deleted: a scalar
has its default, a map is empty. Takes a dict: key (global, a chart's, a sidecar's), values. */}}
{{- define "swarmrace.values" -}}
{{- $defaults := include "swarmrace.defaults" . | fromYaml -}}
{{- $values := omit (.values | default dict) "global" "common" | deepCopy | mergeOverwrite (get $defaults.maps .key | default dict) -}}
{{- include "swarmrace.prune" $values -}}
{{- mergeOverwrite (get $defaults.scalars .key | default dict) $values | toJson -}}
{{- end -}}

{{/* swarmrace.prune: removes every null from a map, in place. */}}
{{- define "swarmrace.prune" -}}
{{- range $key, $value := . -}}
  {{- if kindIs "invalid" $value -}}{{- $_ := unset $ $key -}}{{- end -}}
  {{- if kindIs "map" $value -}}{{- include "swarmrace.prune" $value -}}{{- end -}}
{{- end -}}
{{- end -}}
