{{/*
Each of these takes what common.scenario returned and says what swarmrace.backends.kubernetes.pods says.
*/}}

{{/* common.timeouts: the sum of all that the rendezvous waits for, in seconds; a program's trial takes no longer than a run. */}}
{{- define "common.timeouts" -}}
{{- $constants := include "common.constants" . | fromJson -}}
{{- $timeouts := .race.timeouts -}}
{{- $run := $constants.runExtraSeconds -}}
{{- range $bound, $times := $constants.runTimes -}}
  {{- $run = addf $run (mulf $times (get $timeouts $bound)) -}}
{{- end -}}
{{- addf (mulf $constants.assembleTimes $timeouts.assembleSeconds) (mulf (add1 .race.repetitions) (len .entrants) $run) | toJson -}}
{{- end -}}

{{/* common.deadline: a Job's activeDeadlineSeconds, above the sum. */}}
{{- define "common.deadline" -}}
{{- $constants := include "common.constants" . | fromJson -}}
{{- add (include "common.timeouts" . | float64 | ceil | int64) (int64 $constants.slackSeconds) -}}
{{- end -}}

{{/* common.storage: what a peer's volume holds, in bytes. */}}
{{- define "common.storage" -}}
{{- $constants := include "common.constants" . | fromJson -}}
{{- if .peers.storage.size -}}
{{- int64 .peers.storage.size -}}
{{- else -}}
{{- add (div (mul (int64 .race.fileSize) 9) 4) (int64 $constants.storageOverheadBytes) -}}
{{- end -}}
{{- end -}}

{{/* common.ephemeral: a peer's ephemeral-storage, summed over its containers, in bytes. */}}
{{- define "common.ephemeral" -}}
{{- $constants := include "common.constants" . | fromJson -}}
{{- $storage := ternary 0 (include "common.storage" . | int64) (eq .peers.storage.kind "persistentVolumeClaim") -}}
{{- add (int64 $constants.ephemeralOverheadBytes) $storage -}}
{{- end -}}

{{/* common.results: what the results folder may come to, in bytes. */}}
{{- define "common.results" -}}
{{- $constants := (include "common.constants" . | fromJson) -}}
{{- $leechers := sub (int64 .race.swarmSize) (int64 .race.seeders) -}}
{{- $runs := mul (int64 .race.repetitions) (len .entrants) -}}
{{- add (mul (div (int64 .race.fileSize) (int64 $constants.resultsDivisor)) $leechers $runs) (int64 $constants.resultsOverheadBytes) -}}
{{- end -}}

{{/* common.base: what stands for a release in names, a DNS label. Takes the release's name. */}}
{{- define "common.base" -}}
{{- $most := (include "common.constants" . | fromJson).baseLength | int -}}
{{- $name := replace "." "-" . -}}
{{- if not (regexMatch "^[a-z]" $name) -}}{{- $name = printf "r%s" $name -}}{{- end -}}
{{- if gt (len $name) $most -}}
  {{- $name = printf "%s-%s" (trunc (int (sub $most 7)) $name | trimAll "-") (sha256sum . | trunc 6) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* common.raced: what is raced as canonical JSON: swarmrace.scenario.scenario.Scenario.canonical. */}}
{{- define "common.raced" -}}
{{- dict "race" .race "entrants" .entrants | toJson -}}
{{- end -}}

{{/*
common.raceId: 10 hex digits of a hash of what is raced and of every entrant's pod template, read as
YAML: a comment makes no new race. They are rendered with fixed names: neither release nor id are in
them.
*/}}
{{- define "common.raceId" -}}
{{- $scenario := . -}}
{{- $text := include "common.raced" . -}}
{{- range $name, $options := .entrants -}}
  {{- if eq $options.kind "codex" -}}
    {{- $text = printf "%s\n%s" $text (include "common.codex.supervise" . | sha256sum) -}}
  {{- end -}}
  {{- $text = printf "%s\n%s" $text (include "common.pod" (dict "scenario" $scenario "entrant" $name "release" "x" "raceId" "x") | fromYaml | toJson) -}}
{{- end -}}
{{- $text | sha256sum | trunc 10 -}}
{{- end -}}

{{/* common.job: name of an entrant's Job and Service. Takes a dict: release, entrant, raceId. */}}
{{- define "common.job" -}}
{{- printf "%s-%s-%s" (include "common.base" .release) .entrant .raceId -}}
{{- end -}}

{{/* common.tracker: name of the tracker's Deployment, Service and claim. Takes the release's name. */}}
{{- define "common.tracker" -}}
{{- printf "%s-tracker" (include "common.base" .) -}}
{{- end -}}
