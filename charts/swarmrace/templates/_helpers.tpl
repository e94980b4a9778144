{{/* swarmrace.context: what the umbrella's templates work with, as JSON. */}}
{{- define "swarmrace.context" -}}
{{- $scenario := include "common.checked" .Values.global | fromJson -}}
{{- $raceId := include "common.raceId" $scenario -}}
{{- $charts := (include "common.model" . | fromJson).charts -}}
{{- $monitoring := include "common.walk" (dict "value" (omit .Values.monitoring "global" "common") "node" $charts.monitoring "path" "monitoring") | fromJson -}}
{{- include "swarmrace.monitored" $monitoring.value -}}
{{- dict "scenario" $scenario "raceId" $raceId "release" .Release.Name "base" (include "common.base" .Release.Name) "monitoring" $monitoring.value | toJson -}}
{{- end -}}

{{/* swarmrace.monitored: refuses what is asked of the monitoring chart where it is not part of the release. */}}
{{- define "swarmrace.monitored" -}}
{{- if not .enabled -}}
  {{- $faults := list -}}
  {{- $needs := "needs monitoring.enabled: true, because" -}}
  {{- if not (has .scrape (list "none" "annotations")) -}}
    {{- $faults = append $faults (printf "monitoring.scrape: %s nothing is scraped without it" $needs) -}}
  {{- end -}}
  {{- if .push.url -}}
    {{- $faults = append $faults (printf "monitoring.push.url: %s nothing is pushed without it; add monitoring.scrape: none where nobody scrapes" $needs) -}}
  {{- end -}}
  {{- if .push.to -}}
    {{- $faults = append $faults (printf "monitoring.push.to: %s nothing is pushed without it" $needs) -}}
  {{- end -}}
  {{- if not (kindIs "invalid" .push.port) -}}
    {{- $faults = append $faults (printf "monitoring.push.port: %s nothing is pushed without it" $needs) -}}
  {{- end -}}
  {{- if .rules.enabled -}}
    {{- $faults = append $faults (printf "monitoring.rules.enabled: %s no rules are made without it" $needs) -}}
  {{- end -}}
  {{- with $faults -}}
    {{- fail (printf "\nscenario: %d %s\n  %s\n" (len .) (ternary "fault" "faults" (eq (len .) 1)) (join "\n  " .)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{/* swarmrace.dns: an egress rule for name resolution. */}}
{{- define "swarmrace.dns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}
