{{/*
swarmrace.release: what all templates of a release share, as JSON: global (values over the model's
defaults), race (a matrix of one cell resolved), sidecars (as given), name, fullname, hash, constants.
{} when nobody races. Takes the root.
*/}}
{{- define "swarmrace.release" -}}
{{- $global := include "swarmrace.values" (dict "key" "global" "values" (.Values.global | default dict)) | fromJson -}}
{{- if $global.entrants -}}
  {{- $race := omit $global.race "matrix" -}}
  {{- range $axis, $values := $global.race.matrix -}}
    {{- with $values -}}{{- $_ := set $race $axis (first .) -}}{{- end -}}
  {{- end -}}
  {{- $r := dict "global" (omit $global "sidecars") "race" $race "sidecars" (.Values.global.sidecars | default dict) "constants" (include "swarmrace.constants" . | fromYaml).constants -}}
  {{- $hash := include "swarmrace.hash" (merge (dict "name" "x" "fullname" "x" "hash" "x") $r) -}}
  {{- merge (dict "name" .Release.Name "fullname" (include "swarmrace.fullname" .) "hash" $hash) $r | toJson -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/*
swarmrace.hash: 10 hexadecimal digits of a hash of what is raced and of every entrant's pod
template, read as YAML: a comment makes no new race. Takes a release whose names are all "x".
*/}}
{{- define "swarmrace.hash" -}}
{{- $parts := list .constants.supervisor .race .global.entrants -}}
{{- range $entrant, $_ := .global.entrants -}}
  {{- $parts = append $parts (include "swarmrace.peer" (dict "r" $ "entrant" $entrant) | fromYaml) -}}
{{- end -}}
{{- toJson $parts | sha256sum | trunc 10 -}}
{{- end -}}

{{/*
swarmrace.values: a chart's values over the model's defaults, as JSON. Null is as if the key were
deleted: a map is empty then, a scalar has its default. Takes a dict: key (global or a chart), values.
*/}}
{{- define "swarmrace.values" -}}
{{- $values := mergeOverwrite (get (include "swarmrace.maps" . | fromYaml) .key | default dict) (omit .values "global" "common" | deepCopy) -}}
{{- include "swarmrace.prune" $values -}}
{{- mergeOverwrite (get (include "swarmrace.scalars" . | fromYaml) .key) $values | toJson -}}
{{- end -}}

{{/* swarmrace.prune: removes from a map, in place, what is null. */}}
{{- define "swarmrace.prune" -}}
{{- range $key, $value := . -}}
  {{- if kindIs "invalid" $value -}}{{- $_ := unset $ $key -}}{{- end -}}
  {{- if kindIs "map" $value -}}{{- include "swarmrace.prune" $value -}}{{- end -}}
{{- end -}}
{{- end -}}
