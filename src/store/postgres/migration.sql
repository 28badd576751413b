-- Tables and functions of kycport's store, version 1. The script can be run again at any time, also
-- by several instances simultaneously. It must run in one transaction, for example as one call of a
-- driver.
SELECT pg_catalog.pg_advisory_xact_lock(7741028836094127);

CREATE TABLE IF NOT EXISTS public.kycport_schema (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Version of the newest release that has migrated.
    version bigint NOT NULL,
    -- Lowest version that releases must know to work with these tables.
    compatible_with bigint NOT NULL
);

-- The revocation counter of all namespaces.
CREATE SEQUENCE IF NOT EXISTS public.kycport_marks AS bigint;

CREATE TABLE IF NOT EXISTS public.kycport_records (
    -- Namespace (16 bytes), owner (16), family (1) and id (16). Family 0 is the owner's fence.
    key bytea PRIMARY KEY,
    -- Version that the writer chose; the mark of a fence.
    version bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS kycport_records_expires_at ON public.kycport_records (expires_at);

CREATE TABLE IF NOT EXISTS public.kycport_leases (
    -- Namespace (16 bytes), id (16) and family (1).
    key bytea PRIMARY KEY,
    token bytea NOT NULL,
    -- End of the lease. Null if the work is done.
    held_until timestamptz,
    -- Time at which the row is removed.
    expires_at timestamptz NOT NULL,
    result bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS kycport_leases_expires_at ON public.kycport_leases (expires_at);

-- At the isolation level READ COMMITTED, each statement of a function sees everything that was
-- committed before the statement. "Wait for the lock, then read" is correct only at this level.
CREATE OR REPLACE FUNCTION public.kycport_require_read_committed_1() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
        RAISE EXCEPTION 'kycport needs the isolation level READ COMMITTED' USING ERRCODE = 'KP001';
    END IF;
END;
$$;

-- Conditional writes to the records of one owner. Writers of one owner wait for each other.
-- Conditions: 0 any, 1 absent, 2 present, 3 version. Changes: 0 keep, 1 put, 2 delete.
-- Outcomes: 0 applied, 1 fenced, 2 conflict; rows of outcome 3 are the records found at a conflict.
CREATE OR REPLACE FUNCTION public.kycport_write_1(
    owner_number bigint, fence_key bytea, admitted_at bigint, keys bytea[],
    conditions bigint[], expected_versions bigint[],
    changes bigint[], new_versions bigint[], bodies bytea[], lifetimes bigint[]
) RETURNS TABLE (outcome bigint, found_key bytea, found_version bigint, found_body bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz;
    fence bigint;
    stored bigint;
    is_live boolean;
    holds boolean := true;
    ends_at timestamptz;
    last_end timestamptz;
BEGIN
    PERFORM public.kycport_require_read_committed_1();
    -- A deleted session must stay deleted.
    IF 2 = ANY (changes) THEN
        PERFORM public.kycport_commit_durably_1();
    END IF;
    PERFORM pg_advisory_xact_lock(owner_number);
    moment := clock_timestamp();
    IF admitted_at IS NOT NULL THEN
        SELECT version INTO fence FROM public.kycport_records
            WHERE key = fence_key AND expires_at > moment;
        IF fence > admitted_at THEN
            RETURN QUERY SELECT 1::bigint, NULL::bytea, NULL::bigint, NULL::bytea;
            RETURN;
        END IF;
    END IF;
    FOR i IN 1 .. cardinality(keys) LOOP
        CONTINUE WHEN conditions[i] = 0;
        SELECT version INTO stored FROM public.kycport_records
            WHERE key = keys[i] AND expires_at > moment;
        is_live := FOUND;
        holds := CASE conditions[i]
            WHEN 1 THEN NOT is_live
            WHEN 2 THEN is_live
            ELSE is_live AND stored = expected_versions[i]
        END;
        EXIT WHEN NOT holds;
    END LOOP;
    IF NOT holds THEN
        RETURN QUERY SELECT 2::bigint, NULL::bytea, NULL::bigint, NULL::bytea;
        RETURN QUERY SELECT 3::bigint, key, version, body FROM public.kycport_records
            WHERE key = ANY (keys || fence_key) AND expires_at > moment;
        RETURN;
    END IF;
    last_end := moment;
    FOR i IN 1 .. cardinality(keys) LOOP
        IF changes[i] = 1 THEN
            ends_at := moment + lifetimes[i] * interval '1 millisecond';
            last_end := greatest(last_end, ends_at);
            INSERT INTO public.kycport_records (key, version, expires_at, body)
                VALUES (keys[i], new_versions[i], ends_at, bodies[i])
                ON CONFLICT (key) DO UPDATE
                SET version = excluded.version, expires_at = excluded.expires_at,
                    body = excluded.body;
        ELSIF changes[i] = 2 THEN
            DELETE FROM public.kycport_records WHERE key = keys[i];
        END IF;
    END LOOP;
    IF admitted_at IS NOT NULL THEN
        INSERT INTO public.kycport_records AS kept (key, version, expires_at, body)
            VALUES (fence_key, 0, last_end, '')
            ON CONFLICT (key) DO UPDATE
            SET version = CASE WHEN kept.expires_at > moment THEN kept.version ELSE 0 END,
                expires_at = greatest(kept.expires_at, excluded.expires_at)
            WHERE kept.expires_at < excluded.expires_at;
    END IF;
    RETURN QUERY SELECT 0::bigint, NULL::bytea, NULL::bigint, NULL::bytea;
END;
$$;

-- Raises the counter, stores its value as the owner's fence, and deletes the records between the
-- bounds. The fence alone revokes; the deletion only saves space.
CREATE OR REPLACE FUNCTION public.kycport_revoke_1(
    owner_number bigint, fence_key bytea, lower_bounds bytea[], upper_bounds bytea[],
    lifetime bigint
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moment timestamptz;
    mark bigint;
BEGIN
    PERFORM public.kycport_require_read_committed_1();
    PERFORM public.kycport_commit_durably_1();
    mark := nextval('public.kycport_marks'::regclass);
    PERFORM pg_advisory_xact_lock(owner_number);
    moment := clock_timestamp();
    INSERT INTO public.kycport_records AS kept (key, version, expires_at, body)
        VALUES (fence_key, mark, moment + lifetime * interval '1 millisecond', '')
        ON CONFLICT (key) DO UPDATE
        SET version = CASE WHEN kept.expires_at > moment
                THEN greatest(kept.version, excluded.version) ELSE excluded.version END,
            expires_at = greatest(kept.expires_at, excluded.expires_at);
    FOR i IN 1 .. cardinality(lower_bounds) LOOP
        DELETE FROM public.kycport_records WHERE key > lower_bounds[i] AND key < upper_bounds[i];
    END LOOP;
    RETURN mark;
END;
$$;

-- Makes the commit of the transaction wait for the disk, even where a role or database disables
-- that.
CREATE OR REPLACE FUNCTION public.kycport_commit_durably_1() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END;
$$;

-- Outcomes: 0 granted, with the mark; 1 held, with the remaining milliseconds; 2 done. The row is
-- locked for a long time only while a handler completes the lease in its own transaction.
CREATE OR REPLACE FUNCTION public.kycport_acquire_1(
    lease_key bytea, lease_token bytea, length bigint, late bigint
) RETURNS TABLE (outcome bigint, number bigint, found_result bytea)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mark bigint;
    lease public.kycport_leases;
    moment timestamptz;
    may_take boolean;
    other_timeout text := current_setting('lock_timeout');
BEGIN
    PERFORM public.kycport_require_read_committed_1();
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO mark FROM public.kycport_marks;
    FOR attempt IN 1 .. 10 LOOP
        moment := clock_timestamp();
        INSERT INTO public.kycport_leases (key, token, held_until, expires_at, result)
            SELECT lease_key, lease_token, moment + length * interval '1 millisecond',
                moment + (length + late) * interval '1 millisecond', ''
            WHERE NOT EXISTS (SELECT FROM public.kycport_leases WHERE key = lease_key)
            ON CONFLICT (key) DO NOTHING;
        IF FOUND THEN
            RETURN QUERY SELECT 0::bigint, mark, NULL::bytea;
            RETURN;
        END IF;
        SELECT * INTO lease FROM public.kycport_leases WHERE key = lease_key;
        moment := clock_timestamp();
        -- Locks the lease only if the caller may take it. A caller that finds a completed or held
        -- lease neither waits for other callers nor blocks them.
        may_take := coalesce(lease.expires_at <= moment OR lease.held_until <= moment
            OR (lease.token = lease_token AND lease.held_until IS NOT NULL), false);
        IF may_take THEN
            BEGIN
                PERFORM set_config('lock_timeout', '300ms', true);
                SELECT * INTO lease FROM public.kycport_leases WHERE key = lease_key FOR UPDATE;
            EXCEPTION WHEN lock_not_available THEN
                -- Another caller is taking the lease or settling it in a transaction.
                RETURN QUERY SELECT 1::bigint, greatest(1000, ceil(extract(epoch FROM
                    lease.held_until - moment) * 1000)::bigint), NULL::bytea;
                RETURN;
            END;
            PERFORM set_config('lock_timeout', other_timeout, true);
            moment := clock_timestamp();
        END IF;
        CONTINUE WHEN lease.key IS NULL;
        IF lease.expires_at > moment AND lease.held_until IS NULL THEN
            RETURN QUERY SELECT 2::bigint, 0::bigint, lease.result;
            RETURN;
        END IF;
        IF lease.held_until > moment AND lease.token <> lease_token THEN
            RETURN QUERY SELECT 1::bigint, ceil(extract(epoch FROM
                lease.held_until - moment) * 1000)::bigint, NULL::bytea;
            RETURN;
        END IF;
        CONTINUE WHEN NOT may_take;
        UPDATE public.kycport_leases
            SET token = lease_token, held_until = moment + length * interval '1 millisecond',
                expires_at = moment + (length + late) * interval '1 millisecond', result = ''
            WHERE key = lease_key;
        RETURN QUERY SELECT 0::bigint, mark, NULL::bytea;
        RETURN;
    END LOOP;
    RETURN QUERY SELECT 1::bigint, 1000::bigint, NULL::bytea;
END;
$$;

-- Settlements: 0 done, 1 release, 2 extend. Returns 1 if the token held the lease, or 0.
CREATE OR REPLACE FUNCTION public.kycport_settle_1(
    lease_key bytea, lease_token bytea, settlement bigint, new_result bytea, lifetime bigint,
    late bigint
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    settled bigint;
BEGIN
    PERFORM public.kycport_commit_durably_1();
    IF settlement = 0 THEN
        UPDATE public.kycport_leases
            SET held_until = NULL, result = new_result,
                expires_at = clock_timestamp() + lifetime * interval '1 millisecond'
            WHERE key = lease_key AND token = lease_token AND expires_at > clock_timestamp();
    ELSIF settlement = 1 THEN
        DELETE FROM public.kycport_leases
            WHERE key = lease_key AND token = lease_token AND held_until > clock_timestamp();
    ELSE
        UPDATE public.kycport_leases
            SET held_until = clock_timestamp() + lifetime * interval '1 millisecond',
                expires_at = clock_timestamp() + (lifetime + late) * interval '1 millisecond'
            WHERE key = lease_key AND token = lease_token AND held_until > clock_timestamp();
    END IF;
    GET DIAGNOSTICS settled = ROW_COUNT;
    RETURN settled;
END;
$$;

INSERT INTO public.kycport_schema (version, compatible_with) VALUES (1, 1)
    ON CONFLICT (only_row) DO NOTHING;
