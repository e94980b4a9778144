{{/* Written from the model by `swarmrace schema --write charts`; don't edit. */}}
{{- define "swarmrace.constants" -}}
constants: {"version": "0.1.0", "trackerPort": 8080, "metricsPort": 9200, "supervisor": "55efce62b3426816"}
{{- end -}}

{{- define "swarmrace.maps" -}}
global:
  peers: {"resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}, "podSecurityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}, "shapeSecurityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}, "runAsUser": 0, "runAsNonRoot": false}}
tracker: {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}, "podSecurityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
monitoring: {"dashboard": {"labels": {"grafana_dashboard": "1"}}}
verdict: {"resources": {"requests": {"cpu": "10m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}, "podSecurityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
judge: {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}, "podSecurityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
test: {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}, "podSecurityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
sidecar-codex: {"env": {"CODEX_API_BINDADDR": "0.0.0.0", "CODEX_API_PORT": "8080", "CODEX_DATA_DIR": "/work/node", "CODEX_DISC_PORT": "8090", "CODEX_LISTEN_ADDRS": "/ip4/$(POD_IP)/tcp/8070", "CODEX_LISTEN_IP": "$(POD_IP)", "CODEX_LISTEN_PORT": "8070", "CODEX_METRICS": "true", "CODEX_METRICS_ADDRESS": "0.0.0.0", "CODEX_METRICS_PORT": "8008", "CODEX_NAT": "extip:$(POD_IP)"}, "resources": {"requests": {"cpu": "15m", "memory": "96Mi"}, "limits": {"cpu": "1500m", "memory": "768Mi"}}, "runnerResources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
sidecar-storage: {"env": {"STORAGE_API_BINDADDR": "0.0.0.0", "STORAGE_API_PORT": "8080", "STORAGE_DATA_DIR": "/work/node", "STORAGE_DISC_PORT": "8090", "STORAGE_LISTEN_ADDRS": "/ip4/$(POD_IP)/tcp/8070", "STORAGE_LISTEN_IP": "$(POD_IP)", "STORAGE_LISTEN_PORT": "8070", "STORAGE_METRICS": "true", "STORAGE_METRICS_ADDRESS": "0.0.0.0", "STORAGE_METRICS_PORT": "8008", "STORAGE_NAT": "extip:$(POD_IP)"}, "resources": {"requests": {"cpu": "15m", "memory": "96Mi"}, "limits": {"cpu": "1500m", "memory": "768Mi"}}, "runnerResources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
sidecar: {"resources": {"requests": {"cpu": "15m", "memory": "96Mi"}, "limits": {"cpu": "1500m", "memory": "768Mi"}}, "runnerResources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}, "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}}
{{- end -}}

{{- define "swarmrace.scalars" -}}
global:
  race: {"swarmSize": 4, "seeders": 1, "fileSize": "100MB", "repetitions": 3, "seed": 1, "attempt": 1, "order": "interleaved", "rotateSeeders": true, "coldStart": true, "timeouts": {"assembleSeconds": 300, "prepareSeconds": 120, "publishSeconds": 300, "settleSeconds": 10, "discoverySeconds": 60, "stallSeconds": 120, "transferSeconds": 1800, "verifySeconds": 300, "heartbeatSeconds": 15}, "network": {"delayMilliseconds": 0, "lossPercent": 0, "queueMilliseconds": 200.0}, "acceptance": [], "stopping": false}
  imageRegistry: ""
  nameOverride: ""
  fullnameOverride: ""
  image: {"repository": "localhost/swarmrace", "tag": "", "digest": "", "pullPolicy": "IfNotPresent", "pullSecrets": []}
  token: {"existingSecret": "", "key": "token"}
  peers: {"resources": {}, "serviceAccountName": "", "tolerations": [], "priorityClassName": "", "extraEnv": [], "extraVolumes": [], "extraVolumeMounts": [], "storage": {"kind": "emptyDir", "storageClassName": ""}, "spread": {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "onePerNode": false, "sameNodes": true}, "conditions": "tc"}
tracker: {"resources": {}, "serviceAccountName": "", "tolerations": [], "priorityClassName": "", "extraEnv": [], "extraVolumes": [], "extraVolumeMounts": [], "storage": {"kind": "persistentVolumeClaim", "size": "4GiB", "storageClassName": ""}}
swarm: {}
monitoring: {"enabled": false, "scrape": "annotations", "intervalSeconds": 2, "from": [{"namespaceSelector": {}}], "lingerSeconds": 70, "push": {"url": "", "to": []}, "rules": {"enabled": false}, "dashboard": {"enabled": true}}
verdict: {"resources": {}, "serviceAccountName": "", "tolerations": [], "priorityClassName": "", "extraEnv": [], "extraVolumes": [], "extraVolumeMounts": [], "enabled": true}
judge: {"resources": {}, "serviceAccountName": "", "tolerations": [], "priorityClassName": "", "extraEnv": [], "extraVolumes": [], "extraVolumeMounts": [], "enabled": true}
test: {"resources": {}, "serviceAccountName": "", "tolerations": [], "priorityClassName": "", "extraEnv": [], "extraVolumes": [], "extraVolumeMounts": []}
networkPolicy: {"enabled": true}
sidecar-codex: {"image": "codexstorage/nim-codex:0.2.5", "pullPolicy": "IfNotPresent", "command": ["/docker-entrypoint.sh", "codex"], "apiPort": 8080, "metricsPort": 8008, "resources": {}, "runnerResources": {}, "extraEnv": [], "extraVolumeMounts": []}
sidecar-storage: {"image": "logosstorage/logos-storage-nim:latest", "pullPolicy": "IfNotPresent", "command": ["/docker-entrypoint.sh", "storage"], "apiPort": 8080, "metricsPort": 8008, "resources": {}, "runnerResources": {}, "extraEnv": [], "extraVolumeMounts": []}
sidecar: {"pullPolicy": "IfNotPresent", "command": [], "apiPort": 8080, "metricsPort": 0, "resources": {}, "runnerResources": {}, "extraEnv": [], "extraVolumeMounts": []}
{{- end -}}
