{{/*
tracker.context: what the tracker's templates work with, as JSON, or nothing when nobody races.
*/}}
{{- define "tracker.context" -}}
{{- if (.Values.global).entrants -}}
{{- $scenario := include "common.checked" .Values.global | fromJson -}}
{{- $raceId := include "common.raceId" $scenario -}}
{{- $own := include "common.walk" (dict "value" (omit .Values "global" "common") "node" (include "common.model" . | fromJson).charts.tracker "path" "tracker") | fromJson -}}
{{- if $own.faults -}}{{- fail (printf "\n  %s\n" (join "\n  " $own.faults)) -}}{{- end -}}
{{- dict "scenario" $scenario "raceId" $raceId "release" .Release.Name "name" "tracker" "component" "tracker" "values" $own.value | toJson -}}
{{- end -}}
{{- end -}}
