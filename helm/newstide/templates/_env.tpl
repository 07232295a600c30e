{{/* The environment of a container: of a workload as in _pod.tpl. Nothing here refers to an object of the chart. */}}
{{- define "newstide.env" -}}
{{- $root := .root -}}
{{- $kafka := .root.Values.kafka -}}
{{- $protocol := include "newstide.kafka.protocol" $root -}}
{{- $database := include "newstide.database.secret" $root | fromYaml -}}
{{- $start := $root.Values.database.startTimeoutSeconds | int | quote }}
{{- if has "kafka" .needs }}
- {name: NEWSTIDE_KAFKA__BOOTSTRAP_SERVERS, value: {{ include "newstide.kafka.bootstrap" $root | quote }}}
- {name: NEWSTIDE_KAFKA__SECURITY_PROTOCOL, value: {{ $protocol }}}
{{- if hasPrefix "SASL" $protocol }}
{{- $password := include "newstide.kafka.password" $root | fromYaml }}
- {name: NEWSTIDE_KAFKA__SASL_MECHANISM, value: {{ include "newstide.kafka.mechanism" $root }}}
{{- if $root.Values.strimzi.enabled }}
- {name: NEWSTIDE_KAFKA__SASL_USERNAME, value: {{ include "newstide.fullname" $root }}-user}
{{- else }}
- name: NEWSTIDE_KAFKA__SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $kafka.sasl.existingSecret }}, key: {{ $kafka.sasl.usernameKey }}}}
{{- end }}
- name: NEWSTIDE_KAFKA__SASL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $password.name }}, key: {{ $password.key }}}}
{{- end }}
{{- if include "newstide.kafka.ca" $root }}
- {name: NEWSTIDE_KAFKA__SSL_CAFILE, value: /etc/newstide/kafka-ca/ca.crt}
{{- end }}
{{- if $kafka.tls.clientSecret }}
- {name: NEWSTIDE_KAFKA__SSL_CERTFILE, value: /etc/newstide/kafka-client/tls.crt}
- {name: NEWSTIDE_KAFKA__SSL_KEYFILE, value: /etc/newstide/kafka-client/tls.key}
{{- with $kafka.tls.clientPasswordKey }}
- name: NEWSTIDE_KAFKA__SSL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $kafka.tls.clientSecret }}, key: {{ . }}}}
{{- end }}
{{- end }}
- {name: NEWSTIDE_KAFKA__TOPIC_PREFIX, value: {{ $kafka.topicPrefix | quote }}}
- {name: NEWSTIDE_KAFKA__PARTITIONS, value: {{ $kafka.partitions | int | quote }}}
- {name: NEWSTIDE_KAFKA__REPLICATION, value: {{ $kafka.replication | int | quote }}}
- {name: NEWSTIDE_KAFKA__RETENTION_HOURS, value: {{ $kafka.retentionHours | int | quote }}}
- {name: NEWSTIDE_KAFKA__START_TIMEOUT_S, value: {{ $start }}}
{{- end }}
{{- if has "database" .needs }}
- name: NEWSTIDE_DATABASE__URL
  valueFrom: {secretKeyRef: {name: {{ $database.name }}, key: {{ $database.key }}}}
- {name: NEWSTIDE_DATABASE__SSLMODE, value: {{ ternary "verify-ca" $root.Values.database.sslmode $root.Values.cloudnativepg.enabled }}}
{{- if include "newstide.database.ca" $root }}
- {name: NEWSTIDE_DATABASE__SSLROOTCERT, value: /etc/newstide/database-ca/ca.crt}
{{- end }}
{{- if $root.Values.database.clientSecret }}
- {name: NEWSTIDE_DATABASE__SSLCERT, value: /etc/newstide/database-client/tls.crt}
- {name: NEWSTIDE_DATABASE__SSLKEY, value: /etc/newstide/database-client/tls.key}
{{- end }}
- {name: NEWSTIDE_DATABASE__START_TIMEOUT_S, value: {{ $start }}}
{{- end }}
- {name: NEWSTIDE_EMBEDDED__DIRECTORY, value: /var/lib/newstide}
- {name: NEWSTIDE_METRICS__HOST, value: {{ $root.Values.monitoring.listenAddress | quote }}}
{{- if and .shelf $root.Values.models.shelf }}
- {name: NEWSTIDE_MODELS__SHELF, value: {{ $root.Values.models.shelf | quote }}}
{{- else if and .shelf (include "newstide.shelfClaim" $root) }}
- {name: NEWSTIDE_MODELS__SHELF, value: /var/lib/newstide-models}
{{- end }}
{{- with $root.Values.models.trustedKeys }}
{{- if and $.shelf .existingConfigMap }}
{{- $paths := list }}
{{- range .keys }}{{ $paths = append $paths (printf "/etc/newstide/trusted-keys/%s" .) }}{{ end }}
- {name: NEWSTIDE_MODELS__TRUSTED_KEYS, value: {{ toJson $paths | quote }}}
{{- end }}
{{- end }}
{{- if .trainer }}
# Without it torch takes a thread for each core of the node, whatever the limit.
- name: OMP_NUM_THREADS
  valueFrom: {resourceFieldRef: {resource: limits.cpu}}
{{- end }}
{{- if and .trainer $root.Values.models.signingKey.existingSecret }}
- {name: NEWSTIDE_MODELS__SIGNING_KEY, value: /etc/newstide/signing-key/{{ $root.Values.models.signingKey.key }}}
{{- end }}
{{- range $variable, $file := default dict .files }}
{{- if and (hasPrefix "NEWSTIDE_" $variable) (include "newstide.hasFile" $file) }}
- {name: {{ $variable }}, value: /etc/newstide/files/{{ include "newstide.fileName" $variable }}}
{{- end }}
{{- end }}
{{- range $variable, $value := default dict .env }}
- name: {{ $variable }}
  {{- if kindIs "map" $value }}
  valueFrom: {secretKeyRef: {name: {{ $value.secret }}, key: {{ $value.key }}}}
  {{- else }}
  value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- range $section, $given := $root.Values.settings }}
{{- if kindIs "map" $given }}
{{- range $name, $value := $given }}
- {name: NEWSTIDE_{{ upper $section }}__{{ upper $name }}, value: {{ include "newstide.setting" $value }}}
{{- end }}
{{- else }}
- {name: NEWSTIDE_{{ upper $section }}, value: {{ include "newstide.setting" $given }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Large numbers come out of Helm as 1.6e+07 unless they are written as JSON. */}}
{{- define "newstide.setting" -}}
{{- if kindIs "string" . }}{{ . | quote }}{{ else }}{{ toJson . | quote }}{{ end -}}
{{- end -}}
