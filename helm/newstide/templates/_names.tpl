{{/* Names and labels. A helper that is about one workload takes a dict of `root` and `component`. */}}

{{- define "newstide.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "newstide.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with .shard }}
newstide/shard: {{ . }}
{{- end }}
{{- end -}}

{{- define "newstide.labels" -}}
{{ include "newstide.selector" . }}
app.kubernetes.io/part-of: newstide
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of an object: `root`, `component`, and `suffix` of its name, the component where not given. */}}
{{- define "newstide.metadata" -}}
name: {{ include "newstide.fullname" .root }}-{{ .suffix | default .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "newstide.labels" . | nindent 2 }}
{{- end -}}

{{- define "newstide.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "newstide.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image reference of `root` and `image`, whose empty fields are those of `.Values.image`. */}}
{{- define "newstide.image" -}}
{{- $common := .root.Values.image -}}
{{- $global := default dict .root.Values.global -}}
{{- $registry := default (default "" (get $global "imageRegistry")) $common.registry -}}
{{- $tag := default (default .root.Chart.AppVersion $common.tag) .image.tag -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end -}}

{{- define "newstide.kafka.bootstrap" -}}
{{- if .Values.strimzi.enabled -}}
{{ include "newstide.fullname" . }}-kafka-bootstrap:9093
{{- else -}}
{{ .Values.kafka.bootstrapServers }}
{{- end -}}
{{- end -}}

{{- define "newstide.kafka.protocol" -}}
{{- if .Values.strimzi.enabled }}SASL_SSL{{ else }}{{ .Values.kafka.securityProtocol }}{{ end -}}
{{- end -}}

{{- define "newstide.kafka.mechanism" -}}
{{- if .Values.strimzi.enabled }}SCRAM-SHA-512{{ else }}{{ .Values.kafka.sasl.mechanism }}{{ end -}}
{{- end -}}

{{/* Name and key of the secret with the authority of the brokers, as YAML; nothing where it is the system's. */}}
{{- define "newstide.kafka.ca" -}}
{{- if .Values.strimzi.enabled -}}
{name: {{ include "newstide.fullname" . }}-cluster-ca-cert, key: ca.crt}
{{- else if .Values.kafka.tls.caSecret -}}
{name: {{ .Values.kafka.tls.caSecret }}, key: {{ .Values.kafka.tls.caKey }}}
{{- end -}}
{{- end -}}

{{- define "newstide.kafka.password" -}}
{{- if .Values.strimzi.enabled -}}
{name: {{ include "newstide.fullname" . }}-user, key: password}
{{- else -}}
{name: {{ .Values.kafka.sasl.existingSecret }}, key: {{ .Values.kafka.sasl.passwordKey }}}
{{- end -}}
{{- end -}}

{{- define "newstide.database.secret" -}}
{{- if .Values.cloudnativepg.enabled -}}
{name: {{ include "newstide.fullname" . }}-db-app, key: uri}
{{- else -}}
{name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.key }}}
{{- end -}}
{{- end -}}

{{- define "newstide.database.ca" -}}
{{- if .Values.cloudnativepg.enabled -}}
{name: {{ include "newstide.fullname" . }}-db-ca, key: ca.crt}
{{- else if .Values.database.caSecret -}}
{name: {{ .Values.database.caSecret }}, key: {{ .Values.database.caKey }}}
{{- end -}}
{{- end -}}

{{/* Claim with the shelf of models; nothing where there is none. */}}
{{- define "newstide.shelfClaim" -}}
{{- with .Values.models.volume -}}
{{- if .enabled }}{{ default (printf "%s-models" (include "newstide.fullname" $)) .existingClaim }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Whether a file is given, of its entry in the values. */}}
{{- define "newstide.hasFile" -}}
{{- if or .content .existingConfigMap .existingSecret }}true{{ end -}}
{{- end -}}

{{/* What a process of ingest needs, as YAML: with `push_confirms: commit` it asks Postgres for its messages. */}}
{{- define "newstide.ingestNeeds" -}}
{{- $ingest := default dict .Values.settings.ingest -}}
{{- if eq (default "" $ingest.push_confirms) "commit" }}[kafka, database]{{ else }}[kafka]{{ end -}}
{{- end -}}

{{- define "newstide.maxReplicas" -}}
{{- $fit := div (int .Values.kafka.partitions) (int .Values.worker.processes) -}}
{{- default $fit (int .Values.worker.autoscaling.maxReplicas) -}}
{{- end -}}
