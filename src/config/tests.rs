use super::{Config, variables::from_variables};

const REQUIRED: [(&str, &str); 2] = [
    ("KYCPORT_CLIENT_ID", "client"),
    (
        "KYCPORT_REDIRECT_URI",
        "https://app.example.com/auth/callback",
    ),
];

fn from(more: &[(&'static str, &str)]) -> Result<Config, String> {
    from_variables(|name| {
        more.iter()
            .chain(&REQUIRED)
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| (*value).to_owned())
    })
    .and_then(super::ConfigBuilder::build)
    .map_err(|error| error.to_string())
}

#[test]
fn two_settings_suffice_for_production() {
    let config = from(&[]).unwrap();
    assert_eq!(config.issuer(), "https://www.kycport.com");
    assert_eq!(config.api_base_url().as_str(), "https://www.kycport.com/");
    assert_eq!(config.scopes(), ["openid", "kyc"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_error_names_the_variable_and_the_remedy() {
    // This test covers cases 2 and 120 of `guide::threats`, and row K3 of `guide::contract`.
    for (variable, value, expected) in [
        ("KYCPORT_CLIENT_ID", "", "blank"),
        ("KYCPORT_CLIENT_ID", " client", "white space"),
        ("KYCPORT_CLIENT_ID", "cli\u{e9}nt", "characters"),
        ("KYCPORT_CLIENT_SECRET", "s3cret-canary\n", "white space"),
        ("KYCPORT_CLIENT_SECRET", "s3cret-\u{7}canary", "control"),
        ("KYCPORT_CLIENT_SECRET", "  ", "blank"),
        ("KYCPORT_TENANT_API_KEY", "\ts3cret-canary", "white space"),
        ("KYCPORT_WEBHOOK_SECRET", "", "blank"),
        ("KYCPORT_REDIRECT_URI", "app.example.com/cb", "absolute"),
        ("KYCPORT_REDIRECT_URI", "http://app.example.com/cb", "https"),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/cb#f",
            "fragment",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/cb?a=1",
            "query",
        ),
        ("KYCPORT_REDIRECT_URI", "https://app.example.com", "no path"),
        (
            "KYCPORT_REDIRECT_URI",
            "https://u:s3cret-canary@app.example.com/cb",
            "credentials",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/auth/login",
            "for another route",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/{x}",
            "path",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/cb\n",
            "white space",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/cb ",
            "white space",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https://app.example.com/c\tb",
            "white space",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https:\\\\app.example.com\\cb",
            "backslash",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https:/app.example.com/cb",
            "two slashes",
        ),
        (
            "KYCPORT_REDIRECT_URI",
            "https:///app.example.com/cb",
            "two slashes",
        ),
        ("KYCPORT_ISSUER", "https://id.example.com\n", "white space"),
        ("KYCPORT_ISSUER", "\u{feff}https://id.example.com", "URL"),
        (
            "KYCPORT_API_BASE_URL",
            "https://www.kycport.com/api",
            "/api/v1 itself",
        ),
        (
            "KYCPORT_API_BASE_URL",
            "https://www.kycport.com/api/v1/",
            "/api/v1 itself",
        ),
        (
            "KYCPORT_CLIENT_SECRET",
            "\"s3cret-canary\"",
            "quotation marks",
        ),
        (
            "KYCPORT_TENANT_API_KEY",
            "KYCPORT_TENANT_API_KEY=s3cret-canary",
            "NAME=",
        ),
        ("KYCPORT_ISSUER", "https://kycport.com", "www.kycport.com"),
        ("KYCPORT_ISSUER", "http://www.kycport.com", "https"),
        ("KYCPORT_ISSUER", "https://id.example.com/?x=1", "query"),
        (
            "KYCPORT_ISSUER",
            "https://id.example.com",
            "KYCPORT_DISCOVERY_URL",
        ),
        (
            "KYCPORT_DISCOVERY_URL",
            "https://kycport.com/api/oidc/",
            "www.kycport.com",
        ),
        ("KYCPORT_DISCOVERY_URL", "http://10.0.0.1/x", "loopback"),
        ("KYCPORT_DISCOVERY_URL", "file:///etc/passwd", "https"),
        ("KYCPORT_API_BASE_URL", "http://api.example.com/", "https"),
        ("KYCPORT_SCOPES", "kyc email", "openid"),
        ("KYCPORT_SCOPES", "openid kyc kyc", "twice"),
        ("KYCPORT_SCOPES", "openid \"kyc\"", "not a scope"),
    ] {
        let message = from(&[(variable, value)]).expect_err(value);
        assert!(
            message.contains(expected),
            "{variable}={value:?}: {message}"
        );
        assert!(
            message.contains("KYCPORT_") || message.contains("callback_path"),
            "{message}"
        );
        assert!(!message.contains("canary"), "{message}");
    }
}

#[test]
fn missing_variables_are_named() {
    for missing in ["KYCPORT_CLIENT_ID", "KYCPORT_REDIRECT_URI"] {
        let error = from_variables(|name| {
            REQUIRED
                .iter()
                .find(|(variable, _)| *variable == name && name != missing)
                .map(|(_, value)| (*value).to_owned())
        })
        .unwrap_err();
        assert_eq!(error.variable(), Some(missing));
    }
}

#[cfg(feature = "web")]
#[test]
fn the_origin_of_the_issuer_has_no_path() {
    for (issuer, origin) in [
        ("https://www.kycport.com", "https://www.kycport.com"),
        (
            "https://kyc.example.com:8443/a",
            "https://kyc.example.com:8443",
        ),
    ] {
        let config = Config::builder("client", "https://app.example.com/cb");
        let discovery = format!("{issuer}/.well-known/openid-configuration");
        let config = config.issuer(issuer).discovery_url(discovery).build();
        assert_eq!(config.unwrap().issuer_origin(), origin);
    }
}

#[cfg(feature = "web")]
#[test]
fn a_cookie_name_of_pending_logins_is_rejected() {
    let named = |name| {
        let redirect_uri = "https://app.example.com/auth/callback";
        let config = Config::builder("client", redirect_uri);
        config.cookie_name(name).build().map(drop)
    };
    for name in ["acme", "acme-login", "login", "-login", "my_login-1"] {
        assert!(named(name).is_ok(), "{name}");
    }
    for name in ["acme-login-AAAAAAAAAAAA", "acme-login-1", "-login-"] {
        let message = named(name).unwrap_err().to_string();
        assert!(message.contains("without -login-"), "{message}");
    }
}

#[test]
fn a_short_log_key_is_rejected() {
    for (key, is_valid) in [
        ("", false),
        ("0123456789abcdef0123456789abcde", false),
        ("0123456789abcdef0123456789abcdef", true),
        (" 0123456789abcdef0123456789abcdef", false),
    ] {
        let config = from(&[("KYCPORT_LOG_KEY", key)]);
        assert_eq!(config.is_ok(), is_valid, "{key:?}");
        let message = config.err().unwrap_or_default();
        assert_eq!(message.contains("KYCPORT_LOG_KEY"), !is_valid, "{message}");
    }
}

#[test]
fn plain_http_is_allowed_only_for_loopback() {
    for origin in ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"] {
        let discovery = format!("{origin}/d");
        let redirect = format!("{origin}/auth/callback");
        let config = from(&[
            ("KYCPORT_ISSUER", origin),
            ("KYCPORT_DISCOVERY_URL", &discovery),
            ("KYCPORT_REDIRECT_URI", &redirect),
        ])
        .unwrap();
        assert_eq!(config.api_base_url().as_str(), format!("{origin}/"));
    }
}

#[test]
fn this_crates_own_parameters_cannot_be_overridden() {
    // This test covers cases 26 and 27 of `guide::threats`.
    for name in [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "request",
        "",
    ] {
        Config::builder("client", "https://app.example.com/cb")
            .authorize_parameter(name, "x")
            .build()
            .expect_err(name);
    }
    Config::builder("client", "https://app.example.com/cb")
        .authorize_parameter("response_mode", "query")
        .build()
        .unwrap();
}

#[test]
fn debug_shows_no_secret() {
    // case 137
    let builder = Config::builder("client", "https://app.example.com/cb")
        .client_secret("canary")
        .tenant_api_key("canary")
        .webhook_secret("canary");
    #[cfg(feature = "web")]
    let builder = builder.log_key("a canary with the length of a key");
    assert!(!format!("{builder:?}").contains("canary"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("canary"));
}
