{{/*
The parts of a pod. Each takes the workload: `root`, `component`, `values` (its section), and where it has them `port`,
`files` (entry by environment variable), `shelf`, `state` (a claim), `shard`, `trainer`, `hook`. `needs` lists `database`
and `kafka`: no pod is given the passwords of what it does not use.
*/}}

{{- define "newstide.podValues" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.pod) (deepCopy (default dict .values.pod))) -}}
{{- end -}}

{{- define "newstide.podMetadata" -}}
{{- $pod := include "newstide.podValues" . | fromYaml -}}
labels:
  {{- include "newstide.selector" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := deepCopy (default dict $pod.annotations) -}}
{{- $contents := list -}}
{{- range $file := default dict .files }}{{ $contents = append $contents $file.content }}{{ end -}}
{{- if join "" $contents }}{{ $_ := set $annotations "checksum/files" (join "\n" $contents | sha256sum) }}{{ end -}}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The fields of a pod's spec beside its containers. */}}
{{- define "newstide.podFields" -}}
{{- $root := .root -}}
{{- $pod := include "newstide.podValues" . | fromYaml -}}
{{- $global := default dict $root.Values.global -}}
{{- $pull := concat $root.Values.imagePullSecrets (default list (get $global "imagePullSecrets")) -}}
{{- if not .hook }}
serviceAccountName: {{ include "newstide.serviceAccount" $root }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $pull }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with $pod.runAsUser }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  {{- end }}
  {{- with $pod.fsGroup }}
  fsGroup: {{ int . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with $pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $pod.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $pod.topologySpread.enabled }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ $pod.topologySpread.topologyKey }}
    whenUnsatisfiable: {{ $pod.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "newstide.selector" . | nindent 8 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 512Mi}
  - name: state
    {{- if .state }}
    persistentVolumeClaim: {claimName: {{ .state }}}
    {{- else }}
    emptyDir: {sizeLimit: 1Gi}
    {{- end }}
  {{- $files := include "newstide.projected" . }}
  {{- if $files }}
  - name: files
    projected:
      sources:
        {{- $files | nindent 8 }}
  {{- end }}
  {{- with include "newstide.kafka.ca" $root | fromYaml }}
  - name: kafka-ca
    secret: {secretName: {{ .name }}, items: [{key: {{ .key }}, path: ca.crt}]}
  {{- end }}
  {{- with $root.Values.kafka.tls.clientSecret }}
  - name: kafka-client
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- with include "newstide.database.ca" $root | fromYaml }}
  - name: database-ca
    secret: {secretName: {{ .name }}, items: [{key: {{ .key }}, path: ca.crt}]}
  {{- end }}
  {{- with $root.Values.database.clientSecret }}
  - name: database-client
    secret: {secretName: {{ . }}, defaultMode: 0440}
  {{- end }}
  {{- if and .shelf $root.Values.models.trustedKeys.existingConfigMap }}
  - name: trusted-keys
    configMap: {name: {{ $root.Values.models.trustedKeys.existingConfigMap }}}
  {{- end }}
  {{- if and .trainer $root.Values.models.signingKey.existingSecret }}
  - name: signing-key
    secret: {secretName: {{ $root.Values.models.signingKey.existingSecret }}, defaultMode: 0440}
  {{- end }}
  {{- if and .shelf (include "newstide.shelfClaim" $root) }}
  - name: models
    persistentVolumeClaim: {claimName: {{ include "newstide.shelfClaim" $root }}}
  {{- end }}
  {{- with $pod.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Sources of the volume with the files of this workload. */}}
{{- define "newstide.projected" -}}
{{- $root := .root -}}
{{- range $variable, $file := default dict .files }}
{{- $item := printf "items: [{key: %s, path: %s}]" $file.key (include "newstide.fileName" $variable) }}
{{- if $file.existingSecret }}
- secret: {name: {{ $file.existingSecret }}, {{ $item }}}
{{- else if $file.existingConfigMap }}
- configMap: {name: {{ $file.existingConfigMap }}, {{ $item }}}
{{- else if $file.content }}
{{- $key := printf "%s%s" (ternary (printf "%s." $.shard) "" (not (empty $.shard))) (include "newstide.fileName" $variable) }}
- configMap: {name: {{ include "newstide.fullname" $root }}-files, items: [{key: {{ $key }}, path: {{ include "newstide.fileName" $variable }}}]}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the file behind an environment variable is called where it is mounted. */}}
{{- define "newstide.fileName" -}}
{{- $name := last (splitList "__" .) | lower | replace "newstide_" "" -}}
{{ $name }}.{{ ternary "jsonl" "toml" (eq $name "test_set") }}
{{- end -}}

{{/* The fields of a container beside its name, arguments, ports and probes. */}}
{{- define "newstide.containerFields" -}}
{{- $root := .root -}}
{{- $pod := include "newstide.podValues" . | fromYaml -}}
image: {{ include "newstide.image" (dict "root" $root "image" (ternary $root.Values.trainer.image $root.Values.image (not (empty .trainer)))) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  {{- include "newstide.env" . | nindent 2 }}
  {{- with $pod.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $from := $pod.extraEnvFrom -}}
{{- if and .shelf $root.Values.models.existingSecret }}
{{- $from = append $from (dict "secretRef" (dict "name" $root.Values.models.existingSecret)) }}
{{- end }}
{{- with $from }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: state, mountPath: /var/lib/newstide}
  {{- if include "newstide.projected" . }}
  - {name: files, mountPath: /etc/newstide/files, readOnly: true}
  {{- end }}
  {{- if and (has "kafka" .needs) (include "newstide.kafka.ca" $root) }}
  - {name: kafka-ca, mountPath: /etc/newstide/kafka-ca, readOnly: true}
  {{- end }}
  {{- if and (has "kafka" .needs) $root.Values.kafka.tls.clientSecret }}
  - {name: kafka-client, mountPath: /etc/newstide/kafka-client, readOnly: true}
  {{- end }}
  {{- if and (has "database" .needs) (include "newstide.database.ca" $root) }}
  - {name: database-ca, mountPath: /etc/newstide/database-ca, readOnly: true}
  {{- end }}
  {{- if and (has "database" .needs) $root.Values.database.clientSecret }}
  - {name: database-client, mountPath: /etc/newstide/database-client, readOnly: true}
  {{- end }}
  {{- if and .shelf $root.Values.models.trustedKeys.existingConfigMap }}
  - {name: trusted-keys, mountPath: /etc/newstide/trusted-keys, readOnly: true}
  {{- end }}
  {{- if and .trainer $root.Values.models.signingKey.existingSecret }}
  - {name: signing-key, mountPath: /etc/newstide/signing-key, readOnly: true}
  {{- end }}
  {{- if and .shelf (include "newstide.shelfClaim" $root) }}
  - {name: models, mountPath: /var/lib/newstide-models}
  {{- end }}
  {{- with $pod.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Startup: ready within the start timeout, whoever is away. Liveness restarts what stalls by itself. */}}
{{- define "newstide.probes" -}}
{{- $probes := .root.Values.probes -}}
startupProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ div (int .root.Values.database.startTimeoutSeconds) 5 | add 24 }}
livenessProbe:
  httpGet: {path: /healthz, port: {{ .port }}}
  periodSeconds: {{ $probes.periodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.failureThreshold }}
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: {{ $probes.periodSeconds }}
  timeoutSeconds: {{ $probes.timeoutSeconds }}
  failureThreshold: {{ $probes.failureThreshold }}
{{- end -}}

{{/* Init containers that wait for what the Jobs make: the schema, the topics. */}}
{{- define "newstide.waiting" -}}
{{- $wait := .root.Values.database.startTimeoutSeconds | int -}}
{{- range .needs }}
{{- $command := ternary "migrate" "topics" (eq . "database") }}
- name: await-{{ $command }}
  args: [{{ $command }}, --check, --wait, {{ $wait | quote }}]
  {{- include "newstide.containerFields" (dict "root" $.root "values" $.values "needs" (list .)) | nindent 2 }}
  resources:
    {{- toYaml $.root.Values.jobs.resources | nindent 4 }}
{{- end }}
{{- end -}}
