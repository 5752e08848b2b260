{{/* The settings of each part, as environment variables: (list context component …). */}}
{{- define "activation.settings" -}}
{{- include (printf "activation.settings.%s" (index . 1)) (index . 0) }}
{{- end }}

{{- define "activation.settings.common" -}}
ACTIVATION_LOG_LEVEL: {{ .Values.logging.level }}
ACTIVATION_LOG_FORMAT: {{ .Values.logging.format }}
ACTIVATION_SECRET_WORDS: {{ join "," .Values.secretWords | quote }}
{{- with .Values.tracing.endpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . | quote }}
OTEL_TRACES_SAMPLER: parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG: {{ $.Values.tracing.sampleRatio | quote }}
{{- end }}
{{- end }}

{{- define "activation.settings.tasks" -}}
{{ include "activation.settings.common" . }}
# The migration job does this; pods wait for it.
ACTIVATION_MIGRATE_AT_START: "false"
ACTIVATION_STORE_POOL_SIZE: {{ .Values.database.poolSize | quote }}
ACTIVATION_TASK_QUEUE: {{ .Values.broker.taskQueue | quote }}
ACTIVATION_DEAD_QUEUE: {{ .Values.broker.deadQueue | quote }}
ACTIVATION_MAX_ATTEMPTS: {{ .Values.retry.maxAttempts | quote }}
ACTIVATION_RETRY_BASE_S: {{ .Values.retry.baseSeconds | quote }}
ACTIVATION_RETRY_CAP_S: {{ .Values.retry.capSeconds | quote }}
ACTIVATION_RETRY_PROVISIONING_ERRORS: {{ .Values.retry.provisioningErrors | quote }}
{{- if .Values.encryption.existingSecret }}
ACTIVATION_ENCRYPTION_KEYS_FILE: /etc/activation/encryption-keys/keys.yaml
{{- end }}
{{- end }}

{{- define "activation.settings.gateway" -}}
{{ include "activation.settings.tasks" . }}
ACTIVATION_MAX_BACKLOG: {{ .Values.gateway.maxBacklog | int64 | quote }}
ACTIVATION_MAX_WAITING_PER_EQUIPMENT: {{ .Values.gateway.maxWaitingPerEquipment | int64 | quote }}
ACTIVATION_CALLER_SHARE: {{ .Values.gateway.callerShare | int64 | quote }}
ACTIVATION_RETENTION_S: {{ .Values.gateway.retentionSeconds | int64 | quote }}
ACTIVATION_DRAIN_DELAY_S: {{ .Values.gateway.drainDelaySeconds | quote }}
{{- if .Values.gateway.apiKeys.existingSecret }}
ACTIVATION_API_KEYS_FILE: /etc/activation/api-keys/keys.yaml
{{- end }}
{{- with .Values.gateway.oidc }}
{{- if .issuer }}
ACTIVATION_OIDC_ISSUER: {{ .issuer | quote }}
ACTIVATION_OIDC_AUDIENCE: {{ .audience | quote }}
{{- with .jwksUrl }}
ACTIVATION_OIDC_JWKS_URL: {{ . | quote }}
{{- end }}
ACTIVATION_OIDC_SCOPE_CLAIM: {{ .scopeClaim | quote }}
ACTIVATION_OIDC_SCOPE_PREFIX: {{ .scopePrefix | quote }}
{{- with .ratePerSecond }}
ACTIVATION_OIDC_RATE_PER_SECOND: {{ . | quote }}
{{- end }}
{{- with .burst }}
ACTIVATION_OIDC_BURST: {{ . | int64 | quote }}
{{- end }}
ACTIVATION_OIDC_ALLOW_HTTP: {{ .allowHttp | quote }}
{{- end }}
{{- end }}
# Above a third of the workers' lease, so that after an outage they renew before they are taken for dead.
ACTIVATION_REAP_PATIENCE_S: {{ divf .Values.worker.leaseSeconds 2 | quote }}
{{- end }}

{{- define "activation.settings.worker" -}}
{{ include "activation.settings.tasks" . }}
ACTIVATION_HANDLER_URL: {{ include "activation.handlerUrl" . | quote }}
ACTIVATION_CONCURRENCY: {{ .Values.worker.concurrency | quote }}
ACTIVATION_GRACE_S: {{ .Values.worker.graceSeconds | quote }}
ACTIVATION_ASK_HANDLER: {{ .Values.worker.askHandler | quote }}
ACTIVATION_LEASE_S: {{ .Values.worker.leaseSeconds | quote }}
# Leaves time to store the last results and to hand back the rest.
ACTIVATION_DRAIN_S: {{ sub .Values.worker.terminationGracePeriodSeconds 15 | quote }}
{{- end }}

{{- define "activation.settings.handler" -}}
{{ include "activation.settings.common" . }}
HANDLER_SECONDS: {{ .Values.handler.seconds | quote }}
{{- end }}
