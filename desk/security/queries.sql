-- name: account
SELECT name, role, password_hash, created_at, disabled_at FROM account WHERE name = :name

-- name: accounts
SELECT name, role, password_hash IS NOT NULL AS has_password, created_at, disabled_at FROM account ORDER BY name

-- name: add_account
INSERT INTO account (name, role, password_hash, subject) VALUES (:name, :role, :password_hash, :subject)
ON CONFLICT DO NOTHING
RETURNING name

-- name: account_of_subject
SELECT name, role, password_hash IS NOT NULL AS has_password, created_at, disabled_at
FROM account WHERE subject = :subject

-- name: change_account
UPDATE account
SET role = coalesce(:role, role), password_hash = coalesce(:password_hash, password_hash),
    disabled_at = CASE WHEN CAST(:disabled AS boolean) IS NULL THEN disabled_at
                       WHEN :disabled THEN coalesce(disabled_at, now()) END
WHERE name = :name
RETURNING name

-- name: end_sessions_of
DELETE FROM desk_session WHERE account = :name

-- name: end_tokens_of
WITH links AS (DELETE FROM login_link WHERE account = :name)
UPDATE api_token SET revoked_at = now() WHERE account = :name AND revoked_at IS NULL

-- name: begin_session
INSERT INTO desk_session (token, account, csrf, expires_at)
VALUES (:token, :account, :csrf, now() + make_interval(hours => :hours))

-- name: session
SELECT account.name, account.role, desk_session.csrf
FROM desk_session JOIN account ON account.name = desk_session.account
WHERE desk_session.token = :token AND desk_session.expires_at > now() AND account.disabled_at IS NULL

-- name: end_session
DELETE FROM desk_session WHERE token = :token

-- name: forget_expired
WITH sessions AS (DELETE FROM desk_session WHERE expires_at <= now()),
     logins AS (DELETE FROM oidc_login WHERE expires_at <= now())
DELETE FROM login_link WHERE expires_at <= now()

-- name: add_link
INSERT INTO login_link (token, account, expires_at)
VALUES (:token, :account, now() + make_interval(mins => :minutes))

-- name: take_link
DELETE FROM login_link
USING account
WHERE login_link.token = :token AND login_link.expires_at > now()
  AND account.name = login_link.account AND account.disabled_at IS NULL
RETURNING account.name

-- name: begin_oidc_login
INSERT INTO oidc_login (state, nonce, verifier, expires_at)
VALUES (:state, :nonce, :verifier, now() + make_interval(mins => :minutes))

-- name: take_oidc_login
DELETE FROM oidc_login WHERE state = :state AND expires_at > now() RETURNING nonce, verifier

-- name: add_token
INSERT INTO api_token (id, token, account, name, role, expires_at)
VALUES (:id, :token, :account, :name, :role,
        CASE WHEN CAST(:days AS integer) IS NOT NULL THEN now() + make_interval(days => :days) END)

-- name: token
SELECT account.name, account.role AS account_role, api_token.role
FROM api_token JOIN account ON account.name = api_token.account
WHERE api_token.token = :token AND api_token.revoked_at IS NULL AND account.disabled_at IS NULL
  AND (api_token.expires_at IS NULL OR api_token.expires_at > now())

-- name: tokens
SELECT id, account, name, role, created_at, expires_at, revoked_at
FROM api_token
WHERE CAST(:account AS text) IS NULL OR account = :account
ORDER BY created_at DESC, id

-- name: revoke_token
UPDATE api_token SET revoked_at = now()
WHERE id = :id AND revoked_at IS NULL AND (CAST(:account AS text) IS NULL OR account = :account)
RETURNING id

-- name: note
INSERT INTO audit_event (account, action, subject, detail)
VALUES (:account, :action, :subject, CAST(:detail AS jsonb))

-- name: audit_events
SELECT id, at, account, action, subject, detail
FROM audit_event
WHERE (CAST(:before AS bigint) IS NULL OR id < :before)
  AND (CAST(:account AS text) IS NULL OR account = :account)
  AND (CAST(:action AS text) IS NULL OR action = :action)
ORDER BY id DESC
LIMIT :limit
