{{/*
tracker.context: what the tracker's templates work with, as JSON, or nothing when nobody races.
*/}}
{{- define "tracker.context" -}}
{{- if (.Values.global).entrants -}}
{{- $scenario := include "common.checked" .Values.global | fromJson -}}
{{- $raceId := include "common.raceId" $scenario -}}
{{- $own := include "common.walk" (dict "value" (omit .Values "global" "common") "node" (include "common.model" . | fromJson).charts.tracker "path" "tracker") | fromJson -}}
{{- $faults := $own.faults | default list -}}
{{- if not $faults -}}
  {{- $needed := include "common.results" $scenario | int64 -}}
  {{- if lt (int64 $own.value.storage.size) $needed -}}
    {{- $faults = append $faults (printf "tracker.storage.size: found %d, expected at least %d: the results" (int64 $own.value.storage.size) $needed) -}}
  {{- end -}}
{{- end -}}
{{- if $faults -}}{{- fail (printf "\nscenario: %d fault%s\n  %s\n" (len $faults) (ternary "" "s" (eq (len $faults) 1)) (join "\n  " $faults)) -}}{{- end -}}
{{- dict "scenario" $scenario "raceId" $raceId "release" .Release.Name "name" "tracker" "component" "tracker" "values" $own.value | toJson -}}
{{- end -}}
{{- end -}}
