{{/* Written from the model by `swarmrace schema --write charts`; don't edit. */}}
{{- define "common.model" -}}
{
 "version": "0.1.0",
 "global": {
  "keys": {
   "race": {
    "keys": {
     "swarmSize": {
      "default": 4
     },
     "seeders": {
      "default": 1
     },
     "fileSize": {
      "amount": "size",
      "ge": 1,
      "le": 9007199254740991,
      "default": 100000000
     },
     "repetitions": {
      "default": 3
     },
     "seed": {
      "default": 1
     },
     "attempt": {
      "default": 1
     },
     "order": {
      "default": "interleaved"
     },
     "rotateSeeders": {
      "default": true
     },
     "coldStart": {
      "default": true
     },
     "timeouts": {
      "keys": {
       "assembleSeconds": {
        "default": 300
       },
       "prepareSeconds": {
        "default": 120
       },
       "publishSeconds": {
        "default": 300
       },
       "settleSeconds": {
        "default": 10
       },
       "discoverySeconds": {
        "default": 60
       },
       "stallSeconds": {
        "default": 120
       },
       "transferSeconds": {
        "default": 1800
       },
       "verifySeconds": {
        "default": 300
       },
       "heartbeatSeconds": {
        "default": 15
       }
      },
      "default": {
       "assembleSeconds": 300,
       "prepareSeconds": 120,
       "publishSeconds": 300,
       "settleSeconds": 10,
       "discoverySeconds": 60,
       "stallSeconds": 120,
       "transferSeconds": 1800,
       "verifySeconds": 300,
       "heartbeatSeconds": 15
      }
     },
     "network": {
      "keys": {
       "upload": {
        "amount": "rate",
        "gt": 0,
        "le": 9007199254740991,
        "default": null
       },
       "download": {
        "amount": "rate",
        "gt": 0,
        "le": 9007199254740991,
        "default": null
       },
       "delayMilliseconds": {
        "default": 0
       },
       "lossPercent": {
        "default": 0
       },
       "seeders": {
        "keys": {
         "upload": {
          "amount": "rate",
          "gt": 0,
          "le": 9007199254740991,
          "default": null
         },
         "download": {
          "amount": "rate",
          "gt": 0,
          "le": 9007199254740991,
          "default": null
         }
        },
        "default": null
       }
      },
      "default": {
       "upload": null,
       "download": null,
       "delayMilliseconds": 0,
       "lossPercent": 0,
       "seeders": null
      }
     },
     "acceptance": {
      "items": {
       "keys": {
        "entrant": {},
        "within": {},
        "of": {}
       }
      },
      "default": []
     },
     "matrix": {
      "keys": {
       "swarmSize": {
        "default": []
       },
       "seeders": {
        "default": []
       },
       "fileSize": {
        "items": {
         "amount": "size",
         "ge": 1,
         "le": 9007199254740991
        },
        "default": []
       },
       "network": {
        "items": {
         "keys": {
          "upload": {
           "amount": "rate",
           "gt": 0,
           "le": 9007199254740991,
           "default": null
          },
          "download": {
           "amount": "rate",
           "gt": 0,
           "le": 9007199254740991,
           "default": null
          },
          "delayMilliseconds": {
           "default": 0
          },
          "lossPercent": {
           "default": 0
          },
          "seeders": {
           "keys": {
            "upload": {
             "amount": "rate",
             "gt": 0,
             "le": 9007199254740991,
             "default": null
            },
            "download": {
             "amount": "rate",
             "gt": 0,
             "le": 9007199254740991,
             "default": null
            }
           },
           "default": null
          }
         }
        },
        "default": []
       }
      },
      "default": null
     }
    },
    "default": {
     "swarmSize": 4,
     "seeders": 1,
     "fileSize": 100000000,
     "repetitions": 3,
     "seed": 1,
     "attempt": 1,
     "order": "interleaved",
     "rotateSeeders": true,
     "coldStart": true,
     "timeouts": {
      "assembleSeconds": 300,
      "prepareSeconds": 120,
      "publishSeconds": 300,
      "settleSeconds": 10,
      "discoverySeconds": 60,
      "stallSeconds": 120,
      "transferSeconds": 1800,
      "verifySeconds": 300,
      "heartbeatSeconds": 15
     },
     "network": {
      "upload": null,
      "download": null,
      "delayMilliseconds": 0,
      "lossPercent": 0,
      "seeders": null
     },
     "acceptance": [],
     "matrix": null
    }
   },
   "image": {
    "keys": {
     "repository": {
      "default": "localhost/swarmrace"
     },
     "tag": {
      "default": ""
     },
     "digest": {
      "default": ""
     },
     "pullPolicy": {
      "default": "IfNotPresent"
     },
     "pullSecrets": {
      "default": []
     }
    },
    "default": {
     "repository": "localhost/swarmrace",
     "tag": "",
     "digest": "",
     "pullPolicy": "IfNotPresent",
     "pullSecrets": []
    }
   },
   "token": {
    "keys": {
     "existingSecret": {
      "default": ""
     },
     "key": {
      "default": "token"
     }
    },
    "default": {
     "existingSecret": "",
     "key": "token"
    }
   },
   "peers": {
    "keys": {
     "resources": {
      "keys": {
       "requests": {
        "keys": {
         "cpu": {
          "amount": "cpu",
          "default": 0
         },
         "memory": {
          "amount": "size",
          "ge": 0,
          "le": 9007199254740991,
          "default": 0
         }
        },
        "default": {
         "cpu": 20,
         "memory": 134217728
        }
       },
       "limits": {
        "keys": {
         "cpu": {
          "amount": "cpu",
          "default": 0
         },
         "memory": {
          "amount": "size",
          "ge": 0,
          "le": 9007199254740991,
          "default": 0
         }
        },
        "default": {
         "cpu": 2000,
         "memory": 1073741824
        }
       }
      },
      "default": {
       "requests": {
        "cpu": 20,
        "memory": 134217728
       },
       "limits": {
        "cpu": 2000,
        "memory": 1073741824
       }
      }
     },
     "storage": {
      "keys": {
       "kind": {
        "default": "emptyDir"
       },
       "size": {
        "amount": "size",
        "ge": 0,
        "le": 9007199254740991,
        "gt": 0,
        "default": null
       },
       "storageClassName": {
        "default": ""
       }
      },
      "default": {
       "kind": "emptyDir",
       "size": null,
       "storageClassName": ""
      }
     },
     "spread": {
      "keys": {
       "topologyKey": {
        "default": "kubernetes.io/hostname"
       },
       "maxSkew": {
        "default": 1
       },
       "whenUnsatisfiable": {
        "default": "ScheduleAnyway"
       },
       "onePerNode": {
        "default": false
       }
      },
      "default": {
       "topologyKey": "kubernetes.io/hostname",
       "maxSkew": 1,
       "whenUnsatisfiable": "ScheduleAnyway",
       "onePerNode": false
      }
     },
     "conditions": {
      "default": "tc"
     },
     "nodeSelector": {
      "default": {}
     },
     "tolerations": {
      "default": []
     },
     "affinity": {
      "default": {}
     },
     "priorityClassName": {
      "default": ""
     },
     "labels": {
      "default": {}
     },
     "annotations": {
      "default": {}
     }
    },
    "default": {
     "resources": {
      "requests": {
       "cpu": 20,
       "memory": 134217728
      },
      "limits": {
       "cpu": 2000,
       "memory": 1073741824
      }
     },
     "storage": {
      "kind": "emptyDir",
      "size": null,
      "storageClassName": ""
     },
     "spread": {
      "topologyKey": "kubernetes.io/hostname",
      "maxSkew": 1,
      "whenUnsatisfiable": "ScheduleAnyway",
      "onePerNode": false
     },
     "conditions": "tc",
     "nodeSelector": {},
     "tolerations": [],
     "affinity": {},
     "priorityClassName": "",
     "labels": {},
     "annotations": {}
    }
   },
   "codex": {
    "keys": {
     "families": {
      "keys": {
       "codex": {
        "keys": {
         "image": {},
         "pullPolicy": {
          "default": "IfNotPresent"
         },
         "command": {},
         "alone": {
          "default": ""
         },
         "environmentPrefix": {},
         "apiPath": {},
         "metricsPort": {
          "default": 8008
         }
        },
        "default": {
         "image": "codexstorage/nim-codex:0.2.5",
         "pullPolicy": "IfNotPresent",
         "command": [
          "/docker-entrypoint.sh",
          "codex"
         ],
         "alone": "",
         "environmentPrefix": "CODEX_",
         "apiPath": "/api/codex/v1",
         "metricsPort": 8008
        }
       },
       "storage": {
        "keys": {
         "image": {},
         "pullPolicy": {
          "default": "IfNotPresent"
         },
         "command": {},
         "alone": {
          "default": ""
         },
         "environmentPrefix": {},
         "apiPath": {},
         "metricsPort": {
          "default": 8008
         }
        },
        "default": {
         "image": "logosstorage/logos-storage-nim:latest",
         "pullPolicy": "IfNotPresent",
         "command": [
          "/docker-entrypoint.sh",
          "storage"
         ],
         "alone": "--no-bootstrap-node",
         "environmentPrefix": "STORAGE_",
         "apiPath": "/api/storage/v1",
         "metricsPort": 8008
        }
       }
      },
      "default": {
       "codex": {
        "image": "codexstorage/nim-codex:0.2.5",
        "pullPolicy": "IfNotPresent",
        "command": [
         "/docker-entrypoint.sh",
         "codex"
        ],
        "alone": "",
        "environmentPrefix": "CODEX_",
        "apiPath": "/api/codex/v1",
        "metricsPort": 8008
       },
       "storage": {
        "image": "logosstorage/logos-storage-nim:latest",
        "pullPolicy": "IfNotPresent",
        "command": [
         "/docker-entrypoint.sh",
         "storage"
        ],
        "alone": "--no-bootstrap-node",
        "environmentPrefix": "STORAGE_",
        "apiPath": "/api/storage/v1",
        "metricsPort": 8008
       }
      }
     },
     "nodePercent": {
      "default": 75
     }
    },
    "default": {
     "families": {
      "codex": {
       "image": "codexstorage/nim-codex:0.2.5",
       "pullPolicy": "IfNotPresent",
       "command": [
        "/docker-entrypoint.sh",
        "codex"
       ],
       "alone": "",
       "environmentPrefix": "CODEX_",
       "apiPath": "/api/codex/v1",
       "metricsPort": 8008
      },
      "storage": {
       "image": "logosstorage/logos-storage-nim:latest",
       "pullPolicy": "IfNotPresent",
       "command": [
        "/docker-entrypoint.sh",
        "storage"
       ],
       "alone": "--no-bootstrap-node",
       "environmentPrefix": "STORAGE_",
       "apiPath": "/api/storage/v1",
       "metricsPort": 8008
      }
     },
     "nodePercent": 75
    }
   }
  }
 },
 "kinds": {
  "bittorrent": {
   "keys": {
    "kind": {
     "default": "bittorrent"
    },
    "profile": {
     "default": "stock"
    },
    "protocol": {
     "default": "v1"
    },
    "reference": {
     "default": "magnet"
    },
    "pieceOrder": {
     "default": "rarestFirst"
    },
    "pieceSize": {
     "amount": "size",
     "ge": 0,
     "le": 9007199254740991,
     "gt": 0,
     "default": null
    },
    "utp": {
     "default": null
    },
    "encryption": {
     "default": null
    },
    "settings": {
     "default": {}
    }
   }
  },
  "codex": {
   "keys": {
    "kind": {
     "default": "codex"
    },
    "profile": {
     "default": "stock"
    },
    "family": {
     "default": "auto"
    },
    "program": {
     "default": null
    },
    "nodes": {
     "default": []
    },
    "download": {
     "default": "stream"
    },
    "blockSize": {
     "amount": "size",
     "ge": 0,
     "le": 9007199254740991,
     "gt": 0,
     "default": null
    },
    "storageQuota": {
     "amount": "size",
     "ge": 0,
     "le": 9007199254740991,
     "default": null
    },
    "pollSeconds": {
     "default": 0.1
    },
    "arguments": {
     "default": []
    }
   }
  },
  "http": {
   "keys": {
    "kind": {
     "default": "http"
    },
    "profile": {
     "default": "stock"
    },
    "readSize": {
     "amount": "size",
     "ge": 1024,
     "le": 9007199254740991,
     "default": 262144
    }
   }
  }
 },
 "charts": {
  "tracker": {
   "keys": {
    "resources": {
     "keys": {
      "requests": {
       "keys": {
        "cpu": {
         "amount": "cpu",
         "default": 0
        },
        "memory": {
         "amount": "size",
         "ge": 0,
         "le": 9007199254740991,
         "default": 0
        }
       },
       "default": {
        "cpu": 20,
        "memory": 134217728
       }
      },
      "limits": {
       "keys": {
        "cpu": {
         "amount": "cpu",
         "default": 0
        },
        "memory": {
         "amount": "size",
         "ge": 0,
         "le": 9007199254740991,
         "default": 0
        }
       },
       "default": {
        "cpu": 2000,
        "memory": 1073741824
       }
      }
     },
     "default": {
      "requests": {
       "cpu": 50,
       "memory": 134217728
      },
      "limits": {
       "cpu": 0,
       "memory": 1073741824
      }
     }
    },
    "storage": {
     "keys": {
      "kind": {
       "default": "persistentVolumeClaim"
      },
      "size": {
       "amount": "size",
       "ge": 0,
       "le": 9007199254740991,
       "gt": 0,
       "default": 2147483648
      },
      "storageClassName": {
       "default": ""
      }
     },
     "default": {
      "kind": "persistentVolumeClaim",
      "size": 2147483648,
      "storageClassName": ""
     }
    },
    "nodeSelector": {
     "default": {}
    },
    "tolerations": {
     "default": []
    },
    "affinity": {
     "default": {}
    },
    "priorityClassName": {
     "default": ""
    },
    "annotations": {
     "default": {}
    }
   }
  },
  "bittorrent": {
   "keys": {
    "annotations": {
     "default": {}
    }
   }
  },
  "codex": {
   "keys": {
    "annotations": {
     "default": {}
    }
   }
  },
  "http": {
   "keys": {
    "annotations": {
     "default": {}
    }
   }
  },
  "monitoring": {
   "keys": {
    "enabled": {
     "default": false
    },
    "scrape": {
     "default": "annotations"
    },
    "intervalSeconds": {
     "default": 2
    },
    "labels": {
     "default": {}
    },
    "from": {
     "default": [
      {
       "namespaceSelector": {}
      }
     ]
    },
    "lingerSeconds": {
     "default": 70
    },
    "push": {
     "keys": {
      "url": {
       "default": ""
      },
      "to": {
       "default": []
      }
     },
     "default": {
      "url": "",
      "to": []
     }
    },
    "rules": {
     "keys": {
      "enabled": {
       "default": true
      },
      "labels": {
       "default": {}
      }
     },
     "default": {
      "enabled": false,
      "labels": {}
     }
    },
    "dashboard": {
     "keys": {
      "enabled": {
       "default": true
      },
      "labels": {
       "default": {
        "grafana_dashboard": "1"
       }
      }
     },
     "default": {
      "enabled": true,
      "labels": {
       "grafana_dashboard": "1"
      }
     }
    }
   }
  }
 },
 "verdict": {
  "keys": {
   "enabled": {
    "default": true
   }
  }
 },
 "networkPolicy": {
  "keys": {
   "enabled": {
    "default": true
   }
  }
 },
 "constants": {
  "trackerPort": 8080,
  "metricsPort": 9200,
  "nodeApiPort": 8080,
  "nodeDiscoveryPort": 8090,
  "nodeListenPort": 8070,
  "nodeQuotaBytes": 21474836480,
  "userId": 65532,
  "baseLength": 27,
  "barriersARun": 7,
  "slackSeconds": 900,
  "storageOverheadBytes": 268435456,
  "ephemeralOverheadBytes": 201326592
 }
}
{{- end -}}
