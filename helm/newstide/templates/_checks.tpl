{{/* What values.schema.json can't say. Each fault says what to do; all of them come at once. */}}
{{- define "newstide.checks" -}}
{{- $faults := list -}}
{{- $values := .Values -}}

{{- range $old, $new := .Files.Get "files/renamed.yaml" | fromYaml -}}
{{- $at := $values -}}
{{- range $part := splitList "." $old -}}
{{- $at = ternary (get (default dict $at) $part) nil (and (kindIs "map" $at) (hasKey (default dict $at) $part)) -}}
{{- end -}}
{{- if not (kindIs "invalid" $at) -}}
{{- $faults = append $faults (printf "`%s` is called `%s` in this chart" $old $new) -}}
{{- end -}}
{{- end -}}

{{- if and (not $values.kafka.bootstrapServers) (not $values.strimzi.enabled) -}}
{{- $faults = append $faults "`kafka.bootstrapServers` is empty: set it to your brokers, host:port,host:port, or set `strimzi.enabled`" -}}
{{- end -}}
{{- if and $values.kafka.bootstrapServers $values.strimzi.enabled -}}
{{- $faults = append $faults "`kafka.bootstrapServers` and `strimzi.enabled` are both set: leave one out" -}}
{{- end -}}
{{- if and (not $values.database.existingSecret) (not $values.cloudnativepg.enabled) -}}
{{- $faults = append $faults "`database.existingSecret` is empty: set it to a Secret that holds postgresql://user:password@host:port/name, or set `cloudnativepg.enabled`" -}}
{{- end -}}
{{- if and $values.database.existingSecret $values.cloudnativepg.enabled -}}
{{- $faults = append $faults "`database.existingSecret` and `cloudnativepg.enabled` are both set: leave one out" -}}
{{- end -}}
{{- if and (hasPrefix "SASL" $values.kafka.securityProtocol) (not $values.kafka.sasl.existingSecret) (not $values.strimzi.enabled) -}}
{{- $faults = append $faults (printf "`kafka.securityProtocol` is %s: set `kafka.sasl.existingSecret` to a Secret with user and password" $values.kafka.securityProtocol) -}}
{{- end -}}
{{- if and $values.jobs.hooks (or $values.strimzi.enabled $values.cloudnativepg.enabled) -}}
{{- $faults = append $faults "`jobs.hooks` runs before the chart's own brokers or database exist: set it to false with `strimzi.enabled` or `cloudnativepg.enabled`" -}}
{{- end -}}

{{- $partitions := int $values.kafka.partitions -}}
{{- $processes := int $values.worker.processes -}}
{{- $most := div $partitions $processes -}}
{{- $mode := $values.worker.autoscaling.mode -}}
{{- $why := printf "%d partitions / %d processes a pod = %d pods that have work" $partitions $processes $most -}}
{{- if eq $mode "off" -}}
{{- if gt (int $values.worker.replicas) (int $most) -}}
{{- $faults = append $faults (printf "`worker.replicas` is %d, and %s: lower it, or raise `kafka.partitions`" (int $values.worker.replicas) $why) -}}
{{- end -}}
{{- else -}}
{{- $max := include "newstide.maxReplicas" . | int -}}
{{- if or (gt $max (int $most)) (lt $max 1) -}}
{{- $faults = append $faults (printf "`worker.autoscaling.maxReplicas` is %d, and %s: lower it, or raise `kafka.partitions`" $max $why) -}}
{{- end -}}
{{- if gt (int $values.worker.autoscaling.minReplicas) $max -}}
{{- $faults = append $faults (printf "`worker.autoscaling.minReplicas` is %d, more than the most, %d" (int $values.worker.autoscaling.minReplicas) $max) -}}
{{- end -}}
{{- if and (eq $mode "lag") (gt (int $values.worker.autoscaling.fallbackReplicas) (int $most)) -}}
{{- $faults = append $faults (printf "`worker.autoscaling.fallbackReplicas` is %d, and %s" (int $values.worker.autoscaling.fallbackReplicas) $why) -}}
{{- end -}}
{{- if and (eq $mode "lag") (not $values.jobs.topics) -}}
{{- $faults = append $faults "`worker.autoscaling.mode` lag needs `jobs.topics`, which commits the offsets that KEDA begins with" -}}
{{- end -}}
{{- end -}}

{{- $stream := default dict $values.settings.stream -}}
{{- $batch := add (int (ceil (default 15 (get $stream "retry_max_s")))) (int (ceil (default 6 (get $stream "session_timeout_s")))) 10 -}}
{{- if lt (int $values.worker.terminationGracePeriodSeconds) (int $batch) -}}
{{- $faults = append $faults (printf "`worker.terminationGracePeriodSeconds` is %d: a batch and a rebalance take up to %d s (`stream.retry_max_s` + `stream.session_timeout_s` + 10)" (int $values.worker.terminationGracePeriodSeconds) (int $batch)) -}}
{{- end -}}

{{- if and $values.push.enabled (not $values.push.existingSecret) -}}
{{- $faults = append $faults "`push.enabled`: set `push.existingSecret` to a Secret with the bearer token" -}}
{{- end -}}
{{- if and $values.desk.enabled (include "newstide.hasFile" $values.files.alerts) (not (default dict $values.settings.alerting).budget) -}}
{{- $faults = append $faults "`files.alerts`: the desk is not given this file, which may hold secrets; say its budget in `settings.alerting.budget`, such as \"1 per week\"" -}}
{{- end -}}
{{- if and $values.desk.ingress.enabled (not $values.desk.ingress.host) -}}
{{- $faults = append $faults "`desk.ingress.enabled`: set `desk.ingress.host`" -}}
{{- end -}}
{{- $shelf := or $values.models.shelf $values.models.volume.enabled -}}
{{- if and $values.models.shelf $values.models.volume.enabled -}}
{{- $faults = append $faults "`models.shelf` and `models.volume.enabled` are both set: leave one out" -}}
{{- end -}}
{{- if $values.trainer.enabled -}}
{{- if not $shelf -}}
{{- $faults = append $faults "`trainer.enabled`: its models must reach the workers; set `models.shelf` or `models.volume.enabled`" -}}
{{- end -}}
{{- if not (include "newstide.hasFile" $values.files.dataset) -}}
{{- $faults = append $faults "`trainer.enabled`: say in `files.dataset` what to train on" -}}
{{- end -}}
{{- if and $values.trainer.promote (not (include "newstide.hasFile" $values.files.testSet)) -}}
{{- $faults = append $faults "`trainer.promote` needs a frozen test set to prove a model on: set `files.testSet`" -}}
{{- end -}}
{{- end -}}
{{- if $values.ingest.shards -}}
{{- if include "newstide.hasFile" $values.files.feeds -}}
{{- $faults = append $faults "`ingest.shards` and `files.feeds` are both set: each feed belongs to one shard" -}}
{{- end -}}
{{- if not (hasKey (default dict $values.settings.alerting) "allowed_lateness_s") -}}
{{- $faults = append $faults "`ingest.shards`: alerting can't see how often feeds are polled; set `settings.alerting.allowed_lateness_s` to the longest interval and a minute" -}}
{{- end -}}
{{- range $name, $file := $values.ingest.shards -}}
{{- if not (include "newstide.hasFile" $file) -}}
{{- $faults = append $faults (printf "`ingest.shards.%s` names no file: give `content`, `existingConfigMap` or `existingSecret`" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if $faults -}}
{{- fail (printf "\n- %s\n" (join "\n- " $faults)) -}}
{{- end -}}
{{- end -}}
