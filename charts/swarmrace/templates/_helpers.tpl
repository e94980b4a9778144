{{/* swarmrace.context: what the umbrella's templates work with, as JSON. */}}
{{- define "swarmrace.context" -}}
{{- $scenario := include "common.checked" .Values.global | fromJson -}}
{{- $raceId := include "common.raceId" $scenario -}}
{{- $charts := (include "common.model" . | fromJson).charts -}}
{{- $monitoring := include "common.walk" (dict "value" (omit .Values.monitoring "global" "common") "node" $charts.monitoring "path" "monitoring") | fromJson -}}
{{- if and $monitoring.value.push.url (not $monitoring.value.enabled) -}}
  {{- fail "\nscenario: 1 fault\n  monitoring.push.url: needs monitoring.enabled: true, because nothing is pushed without it; add monitoring.scrape: none where nobody scrapes\n" -}}
{{- end -}}
{{- dict "scenario" $scenario "raceId" $raceId "release" .Release.Name "base" (include "common.base" .Release.Name) "monitoring" $monitoring.value | toJson -}}
{{- end -}}

{{/* swarmrace.dns: an egress rule for name resolution. */}}
{{- define "swarmrace.dns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}
