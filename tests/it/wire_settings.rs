//! Tests of settings that adapt the SDK to observed behaviour of KYCPort, and of errors that name a
//! wrong setting.

use kycport::Config;

#[test]
fn dead_hosts_are_rejected() {
    // K3
    let redirect_uri = "https://app.example.com/auth/callback";
    for (host, is_dead) in [
        ("kycport.com", true),
        ("KYCPORT.com", true),
        ("kycport.com.", true),
        ("kycport.com:443", true),
        ("id.kycport.com", true),
        ("ID.kycport.com.", true),
        ("api.kycport.com", true),
        ("%61pi.kycport.com", true),
        ("www.kycport.com", false),
        ("eu.kycport.com", false),
        ("kycport.com.example.com", false),
        ("notkycport.com", false),
    ] {
        let url = format!("https://{host}");
        for config in [
            Config::builder("client", redirect_uri)
                .issuer(&url)
                .discovery_url("https://www.kycport.com/d"),
            Config::builder("client", redirect_uri).discovery_url(format!("{url}/d")),
            Config::builder("client", redirect_uri).api_base_url(&url),
            Config::builder("client", redirect_uri).allow_endpoint_origin(&url),
        ] {
            let error = config.build().err().map(|error| error.to_string());
            assert_eq!(error.is_some(), is_dead, "{host}: {error:?}");
            let names_the_remedy = error.is_none_or(|it| it.contains("www.kycport.com"));
            assert!(names_the_remedy, "{host}");
        }
    }
}
