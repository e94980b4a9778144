{{/*
common.entrants: Job and headless Service of every entrant of one kind, or nothing when there is
none. Takes a dict: root (the chart's own `.`), kind.
*/}}
{{- define "common.entrants" -}}
{{- $root := .root -}}{{- $kind := .kind -}}
{{- $mine := list -}}
{{- range $name, $options := ($root.Values.global).entrants -}}
  {{- if eq (toString $options.kind) $kind -}}{{- $mine = append $mine $name -}}{{- end -}}
{{- end -}}
{{- if $mine -}}
{{- $scenario := include "common.checked" $root.Values.global | fromJson -}}
{{- $raceId := include "common.raceId" $scenario -}}
{{- $constants := (include "common.constants" . | fromJson) -}}
{{- range $entrant := $mine }}
{{- $context := dict "scenario" $scenario "entrant" $entrant "release" $root.Release.Name "raceId" $raceId }}
{{- $about := merge (dict "root" $root "name" $kind "component" "peer") $context }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "common.job" $context }}
  {{- include "common.metadata" $about | nindent 2 }}
  {{- with $root.Values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "common.labels.peer" $context | nindent 4 }}
  ports:
    - name: metrics
      port: {{ $constants.metricsPort }}
      targetPort: metrics
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "common.job" $context }}
  {{- include "common.metadata" $about | nindent 2 }}
  {{- with $root.Values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  completionMode: Indexed
  completions: {{ $scenario.race.swarmSize }}
  parallelism: {{ $scenario.race.swarmSize }}
  backoffLimitPerIndex: 0
  activeDeadlineSeconds: {{ include "common.deadline" $scenario }}
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
      - action: FailIndex
        onExitCodes:
          containerName: runner
          operator: NotIn
          values: [0]
      - action: FailIndex
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    {{- include "common.pod" $context | nindent 4 }}
{{- end }}
{{- end -}}
{{- end -}}
