{{/*
common.scenario: what a release races, from `.Values.global`, completed and checked.

Returns JSON: race, entrants, image, token, peers, codex (amounts as bare numbers, no matrix), and
faults: everything wrong that no JSON Schema can say, in the words of the model.
*/}}
{{- define "common.scenario" -}}
{{- $model := include "common.model" . | fromJson -}}
{{- $shared := . | default dict -}}
{{- $walked := include "common.walk" (dict "value" (omit $shared "entrants") "node" $model.global "path" "global") | fromJson -}}
{{- $scenario := $walked.value -}}{{- $faults := $walked.faults | default list -}}
{{- $entrants := dict -}}{{- $unknown := list -}}
{{- range $name, $options := $shared.entrants -}}
  {{- $path := printf "global.entrants.%s" $name -}}
  {{- $spec := get $model.kinds (toString $options.kind) -}}
  {{- if $spec -}}
    {{- $entrant := include "common.walk" (dict "value" $options "node" $spec "path" $path) | fromJson -}}
    {{- $_ := set $entrants $name $entrant.value -}}
    {{- $faults = concat $faults ($entrant.faults | default list) -}}
  {{- else -}}
    {{- $_ := set $entrants $name $options -}}
    {{- $unknown = append $unknown (printf "%s.kind: found '%v', expected one of %s: no chart races it" $path $options.kind (keys $model.kinds | sortAlpha | join ", ")) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set $scenario "entrants" $entrants -}}
{{- if not $faults -}}
  {{- $cells := include "common.cells" $scenario.race | fromJsonArray -}}
  {{- $faults = concat (include "common.faults" $scenario | fromJsonArray) $unknown (include "common.faults.cluster" (dict "scenario" $scenario "cells" (len $cells)) | fromJsonArray) -}}
  {{- if eq (len $cells) 1 -}}
    {{- $race := $scenario.race -}}
    {{- range $key, $value := index $cells 0 -}}{{- $_ := set $race $key $value -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- $_ := unset $scenario.race "matrix" -}}
{{- if not $scenario.race.continues -}}{{- $_ := unset $scenario.race "continues" -}}{{- end -}}
{{- if not $scenario.race.stopping -}}{{- $_ := unset $scenario.race "stopping" -}}{{- end -}}
{{- $_ := set $scenario "faults" ($faults | default list) -}}
{{- $scenario | toJson -}}
{{- end -}}

{{/* common.checked: common.scenario, or a failure that lists all faults at once. */}}
{{- define "common.checked" -}}
{{- $json := include "common.scenario" . -}}
{{- $faults := (fromJson $json).faults -}}
{{- if $faults -}}
  {{- fail (printf "\nscenario: %d fault%s\n  %s\n" (len $faults) (ternary "" "s" (eq (len $faults) 1)) (join "\n  " $faults)) -}}
{{- end -}}
{{- $json -}}
{{- end -}}

{{/* common.cells: the matrix's combinations that leave a leecher; one of the race itself without. */}}
{{- define "common.cells" -}}
{{- $cells := list -}}
{{- if .matrix -}}
  {{- $race := . -}}
  {{- range $size := .matrix.swarmSize | default (list .swarmSize) -}}
    {{- range $seeders := $race.matrix.seeders | default (list $race.seeders) -}}
      {{- range $bytes := $race.matrix.fileSize | default (list $race.fileSize) -}}
        {{- range $network := $race.matrix.network | default (list $race.network) -}}
          {{- if lt (int64 $seeders) (int64 $size) -}}
            {{- $cells = append $cells (dict "swarmSize" $size "seeders" $seeders "fileSize" $bytes "network" $network) -}}
          {{- end -}}
        {{- end -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- else -}}
  {{- $cells = list dict -}}
{{- end -}}
{{- $cells | default list | toJson -}}
{{- end -}}

{{/* common.faults: swarmrace.scenario.scenario.cross_faults. */}}
{{- define "common.faults" -}}
{{- $race := .race -}}{{- $entrants := .entrants -}}{{- $faults := list -}}
{{- $matrix := $race.matrix | default dict -}}
{{- if not $entrants -}}{{- $faults = append $faults "global.entrants: found none, expected at least one" -}}{{- end -}}
{{- range $name, $_ := $entrants -}}
  {{- if not (regexMatch "^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$" $name) -}}
    {{- $faults = append $faults (printf "global.entrants.%s: a name is 1 to 20 of a-z, 0-9 and -, begins with a letter and does not end with -" $name) -}}
  {{- end -}}
{{- end -}}
{{- if and (not $race.matrix) (ge (int64 $race.seeders) (int64 $race.swarmSize)) -}}
  {{- $faults = append $faults (printf "global.race.seeders: found %d, expected less than global.race.swarmSize (%d), so that somebody leeches" (int64 $race.seeders) (int64 $race.swarmSize)) -}}
{{- end -}}
{{- if and $race.matrix (not (include "common.cells" $race | fromJsonArray)) -}}
  {{- $faults = append $faults "global.race.matrix: found no combination with fewer seeders than swarmSize, expected at least one, so that somebody leeches" -}}
{{- end -}}
{{- $networks := dict "global.race.network" $race.network -}}
{{- range $number, $network := $matrix.network -}}
  {{- $_ := set $networks (printf "global.race.matrix.network.%d" $number) $network -}}
{{- end -}}
{{- range $key, $network := $networks -}}
  {{- if and $network.seeders $race.rotateSeeders -}}
    {{- $faults = append $faults (printf "%s.seeders: needs global.race.rotateSeeders: false, because a peer's link is set once for all runs" $key) -}}
  {{- end -}}
{{- end -}}
{{- range $number, $acceptance := $race.acceptance -}}
  {{- range $key := list "entrant" "of" -}}
    {{- $name := get $acceptance $key -}}
    {{- if not (hasKey $entrants $name) -}}
      {{- $faults = append $faults (printf "global.race.acceptance.%d.%s: found '%s', expected one of %s" $number $key $name (keys $entrants | sortAlpha | join ", " | default "none")) -}}
    {{- end -}}
  {{- end -}}
  {{- if eq $acceptance.entrant $acceptance.of -}}
    {{- $faults = append $faults (printf "global.race.acceptance.%d.of: found '%s', expected another than the entrant: against itself it is always met" $number $acceptance.of) -}}
  {{- end -}}
  {{- if and $acceptance.margin (ne (toString $acceptance.within) "equivalent") -}}
    {{- $faults = append $faults (printf "global.race.acceptance.%d.margin: found a margin, expected none: it belongs to within: equivalent" $number) -}}
  {{- end -}}
{{- end -}}
{{- $smallest := 0 -}}{{- $biggest := 0 -}}
{{- range $matrix.fileSize | default (list $race.fileSize) -}}
  {{- if or (not $smallest) (lt (int64 .) (int64 $smallest)) -}}{{- $smallest = int64 . -}}{{- end -}}
  {{- $biggest = max $biggest (int64 .) -}}
{{- end -}}
{{- $largest := 0 -}}
{{- range $matrix.swarmSize | default (list $race.swarmSize) -}}{{- $largest = max $largest (int64 .) -}}{{- end -}}
{{- $powers := dict -}}{{- $power := int64 1 -}}
{{- range until 53 -}}{{- $_ := set $powers (toString $power) true -}}{{- $power = mul $power 2 -}}{{- end -}}
{{- range $name, $options := $entrants -}}
  {{- $key := printf "global.entrants.%s" $name -}}
  {{- if not (kindIs "invalid" $options.pieceSize) -}}
    {{- $piece := int64 $options.pieceSize -}}
    {{- if or (not (hasKey $powers (toString $piece))) (lt $piece 16384) (gt $piece 134217728) -}}
      {{- $faults = append $faults (printf "%s.pieceSize: found %d, expected a power of two from 16KiB to 128MiB" $key $piece) -}}
    {{- else if gt $piece $smallest -}}
      {{- $faults = append $faults (printf "%s.pieceSize: found %d, expected at most the file size (%d): less than one piece can't be shared" $key $piece $smallest) -}}
    {{- end -}}
  {{- end -}}
  {{- if not (kindIs "invalid" $options.blockSize) -}}
    {{- $block := int64 $options.blockSize -}}
    {{- if or (not (hasKey $powers (toString $block))) (lt $block 4096) (gt $block 524288) -}}
      {{- $faults = append $faults (printf "%s.blockSize: found %d, expected a power of two from 4KiB to 512KiB" $key $block) -}}
    {{- end -}}
    {{- if eq (toString $options.family) "codex" -}}
      {{- $faults = append $faults (printf "%s.blockSize: found %d, expected none with family: codex; only Logos Storage takes one" $key $block) -}}
    {{- end -}}
  {{- end -}}
  {{- if not (kindIs "invalid" $options.storageQuota) -}}
    {{- if le (int64 $options.storageQuota) $biggest -}}
      {{- $faults = append $faults (printf "%s.storageQuota: found %d, expected more than the file size (%d): a node holds all of it and its manifest" $key (int64 $options.storageQuota) $biggest) -}}
    {{- end -}}
  {{- end -}}
  {{- if $options.nodes -}}
    {{- if lt (len $options.nodes) (int $largest) -}}
      {{- $faults = append $faults (printf "%s.nodes: found %d, expected one for each of %d peers" $key (len $options.nodes) $largest) -}}
    {{- end -}}
    {{- if $race.coldStart -}}
      {{- $faults = append $faults (printf "%s.nodes: needs global.race.coldStart: false, because nodes that run already can't be started cold" $key) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $faults | default list | toJson -}}
{{- end -}}

{{/* common.faults.cluster: swarmrace.backends.kubernetes.pods.cluster_faults, but for unknown kinds. */}}
{{- define "common.faults.cluster" -}}
{{- $scenario := .scenario -}}{{- $race := $scenario.race -}}{{- $faults := list -}}
{{- if gt (int .cells) 1 -}}
  {{- $faults = append $faults (printf "global.race.matrix: found %d cells, expected one: a release is one scenario; `swarmrace plan FILE --write DIR` writes a file for each, to be installed one by one" (int .cells)) -}}
{{- end -}}
{{- range $name, $options := $scenario.entrants -}}
  {{- if $options.nodes -}}
    {{- $faults = append $faults (printf "global.entrants.%s.nodes: found %d, expected none: every pod has a node of its own" $name (len $options.nodes)) -}}
  {{- end -}}
  {{- if and $options.blockSize (eq (toString $options.family) "auto") -}}
    {{- $faults = append $faults (printf "global.entrants.%s.blockSize: needs global.entrants.%s.family: storage, because `auto` is codex on a cluster, which takes none" $name $name) -}}
  {{- end -}}
{{- end -}}
{{- $spread := $scenario.peers.spread -}}
{{- if and $spread.sameNodes (eq $spread.whenUnsatisfiable "DoNotSchedule") (gt (len $scenario.entrants) 1) -}}
  {{- $faults = append $faults "global.peers.spread.whenUnsatisfiable: DoNotSchedule needs global.peers.spread.sameNodes: false, because the two can leave a peer no node" -}}
{{- end -}}
{{- $codex := false -}}
{{- range $scenario.entrants -}}{{- if eq (toString .kind) "codex" -}}{{- $codex = true -}}{{- end -}}{{- end -}}
{{- $percent := int64 $scenario.codex.nodePercent -}}
{{- range $kind := ternary (list "requests" "limits") list $codex -}}
  {{- range $name, $unit := dict "cpu" "m" "memory" "" -}}
    {{- $total := int64 (get (get $scenario.peers.resources $kind) $name) -}}
    {{- if and $total (lt (mul $total $percent) 100) -}}
      {{- $faults = append $faults (printf "global.peers.resources.%s.%s: found %d%s, expected at least %d%s: the node has %d %% of it (global.codex.nodePercent)" $kind $name $total $unit (div (add 99 $percent) $percent) $unit $percent) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $matrix := $race.matrix | default dict -}}
{{- $networks := $matrix.network | default (list $race.network) -}}
{{- $how := $scenario.peers.conditions -}}
{{- $queue := (include "common.constants" . | fromJson).queueMilliseconds -}}
{{- $seeders := false -}}{{- $netem := false -}}{{- $other := false -}}{{- $odd := false -}}
{{- range $networks -}}
  {{- if .seeders -}}{{- $seeders = true -}}{{- end -}}
  {{- if or .delayMilliseconds .lossPercent -}}{{- $netem = true -}}{{- end -}}
  {{- $of := .seeders | default dict -}}
  {{- if and (or .upload .download $of.upload $of.download) (ne (float64 .queueMilliseconds) (float64 $queue)) -}}{{- $other = true -}}{{- end -}}
  {{- range list .upload .download -}}
    {{- if . -}}{{- if mod (int64 .) 125000 -}}{{- $odd = true -}}{{- end -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- if and (ne $how "tc") $seeders -}}
  {{- $faults = append $faults "global.race.network.seeders: needs global.peers.conditions: tc, because all pods of a Job have the same annotations" -}}
{{- end -}}
{{- if and (ne $how "tc") $netem -}}
  {{- $faults = append $faults "global.race.network: delay and loss need global.peers.conditions: tc, because the annotations know rates alone" -}}
{{- end -}}
{{- if and (ne $how "tc") $other -}}
  {{- $faults = append $faults "global.race.network.queueMilliseconds: needs global.peers.conditions: tc, because the annotations know rates only" -}}
{{- end -}}
{{- if and (eq $how "kubeOvn") $odd -}}
  {{- $faults = append $faults "global.race.network: Kube-OVN knows whole Mbit/s alone; expected rates that are, such as 100Mbit" -}}
{{- end -}}
{{- $faults | default list | toJson -}}
{{- end -}}
