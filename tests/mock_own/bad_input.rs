//! Sends the request of each row of `bad_input.md` (case 136). `bad_input.md` is also
//! documentation.

use std::time::Duration;

use http::Method;
use kycport::mock::{Endpoint, Page};
use serde_json::json;

use crate::support::{BACK, CHALLENGE, TestIssuer, pairs, query, set, without};

const TABLE: &str = include_str!("bad_input.md");

/// Redirect URI that only the client under test has registered.
const OWN_REDIRECT_URI: &str = "https://only.acme.test/callback";

struct Row<'a> {
    to: &'a str,
    changes: Vec<&'a str>,
    answer: &'a str,
    error: &'a str,
    contract: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    // The first table explains the notation and has two columns.
    let lines = TABLE
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 4);
    let cells = lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim));
    let rows = cells.map(|mut cells| Row {
        to: cells.next().unwrap(),
        changes: cells
            .next()
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect(),
        answer: cells.next().unwrap(),
        error: cells.next().unwrap(),
        contract: cells.next().unwrap(),
    });
    rows.filter(|row| row.to != "endpoint").collect()
}

/// A request, divided into parts. The test applies the changes of one row to a valid request.
struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

// case 136
#[tokio::test]
async fn every_bad_request_of_the_table_is_rejected() {
    let rows = rows();
    assert!(rows.len() > 150, "{}", rows.len());
    for row in rows {
        let what = format!("{} with {:?}", row.to, row.changes);
        let setup = BadInputTest::new().await;
        let mut request = setup.good(row.to);
        for edit in &row.changes {
            setup.edit(row.to, &mut request, edit).await;
        }
        let page = setup.send(request).await;
        let (status, is_page) = match row.answer.strip_suffix(" page") {
            Some(status) => (status, true),
            None => (row.answer, false),
        };
        assert_eq!(page.status().to_string(), status, "{what}: {}", page.body());
        let log = setup.issuer.kyc.all_requests();
        let refusal = log.last().unwrap().refusal();
        let refusal = refusal.unwrap_or_else(|| panic!("{what}: no rejection"));
        assert_eq!(
            (refusal.error, refusal.row),
            (row.error, row.contract),
            "{what}"
        );
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        if is_page {
            assert!(page.body().starts_with("<!doctype html>"), "{what}");
            assert_eq!(page.location(), None, "{what}");
        } else if status == "303" {
            assert_error_redirect(&page, &row, &what);
        } else {
            assert_eq!(page.json()["error"], row.error, "{what}");
            let challenged = page.header("www-authenticate").is_some();
            assert!(challenged || status != "401", "{what}");
        }
    }
}

/// Asserts that the mock redirects the error to the client's redirect URI, with `state` and `iss`
/// and without a code.
fn assert_error_redirect(page: &Page, row: &Row<'_>, what: &str) {
    let to = page.location().unwrap();
    assert!(to.as_str().starts_with(&format!("{BACK}?")), "{what}");
    let of = |name| query(&to, name);
    assert_eq!(of("error").as_deref(), Some(row.error), "{what}");
    assert!(
        of("error_description").unwrap().contains(row.contract),
        "{what}"
    );
    assert!(of("iss").is_some() && of("code").is_none(), "{what}");
    if !row.changes.concat().contains("state") {
        assert_eq!(of("state").as_deref(), Some("the state"), "{what}");
    }
}

// case 136: The unmodified requests must succeed. If an unmodified request failed, the rows of the
// table would be meaningless.
#[tokio::test]
async fn unmodified_requests_succeed() {
    for (to, status) in [
        ("authorize", 200),
        ("token", 200),
        ("userinfo", 200),
        ("status", 200),
        ("case", 200),
    ] {
        let setup = BadInputTest::new().await;
        let page = setup.send(setup.good(to)).await;
        assert_eq!(page.status(), status, "{to}: {}", page.body());
    }
}

/// Mock, and all values that a row can contain as placeholders.
struct BadInputTest {
    issuer: TestIssuer,
    code: String,
    access_token: String,
    id_token: String,
    /// Person whom only the first tenant sees, and a case about that person.
    person: String,
    case: String,
}

impl BadInputTest {
    async fn new() -> Self {
        let issuer = TestIssuer::new().await;
        issuer
            .kyc
            .client()
            .register_redirect_uri(OWN_REDIRECT_URI)
            .unwrap();
        let tenant = issuer.kyc.tenant();
        let bob = issuer.kyc.person("bob").only_for(tenant).create();
        let tokens = issuer.tokens().await.json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let visit = issuer
            .browser
            .request(Method::POST, issuer.kyc.url(Endpoint::OpenCase))
            .header("authorization", &format!("Bearer {}", tenant.api_key()))
            .json(&json!({ "person_id": bob.id(), "level": "t2" }));
        let case = visit.fetch().send().await.unwrap().json()["id"].clone();
        // Remove the browser session. A login with `prompt=none` then fails.
        let code = issuer.code().await;
        issuer.browser.clear_cookies();
        Self {
            code,
            access_token: token("access_token"),
            id_token: token("id_token"),
            person: bob.id().to_owned(),
            case: case.as_str().unwrap().to_owned(),
            issuer,
        }
    }

    fn good(&self, to: &str) -> Request {
        let kyc = &self.issuer.kyc;
        let endpoint = match to {
            "authorize" => Endpoint::Authorize,
            "token" => Endpoint::Token,
            "userinfo" => Endpoint::Userinfo,
            "status" => Endpoint::Status,
            other => {
                assert_eq!(other, "case", "unknown endpoint");
                Endpoint::ReadCase
            }
        };
        let path = endpoint.path().replace("{person_id}", &self.person);
        let mut request = Request {
            method: Method::GET,
            path: path.replace("{case_id}", &self.case),
            query: Vec::new(),
            form: Vec::new(),
            headers: Vec::new(),
        };
        match endpoint {
            Endpoint::Authorize => request.query = self.issuer.request(),
            Endpoint::Token => {
                request.method = Method::POST;
                request.form = self.issuer.exchange(&self.code);
            }
            Endpoint::Userinfo => request.headers = bearer(&self.access_token),
            _ => request.headers = bearer(kyc.tenant().api_key()),
        }
        request
    }

    async fn edit(&self, to: &str, request: &mut Request, edit: &str) {
        if let Some(method) = edit.strip_prefix("method ") {
            request.method = method.parse().unwrap();
            return;
        }
        if let Some(path) = edit.strip_prefix("path ") {
            path.clone_into(&mut request.path);
            return;
        }
        if edit == "query removed" {
            request.query.clear();
            return;
        }
        if let Some(added) = edit.strip_prefix('?') {
            let (name, value) = added.split_once('=').unwrap();
            let value = self.fill(value).await;
            request.query.push((name.to_owned(), value));
            return;
        }
        if let Some((name, value)) = edit.split_once(": ") {
            let value = self.fill(value).await;
            change_one(&mut request.headers, name, &value);
            return;
        }
        let params = match to {
            "token" => &mut request.form,
            _ => &mut request.query,
        };
        if let Some((name, value)) = edit.split_once('=') {
            let value = self.fill(value).await;
            change_one(params, name, &value);
            return;
        }
        let (name, how) = edit.split_once(' ').unwrap();
        change_one(params, name, how);
    }

    /// Replaces a `<…>` placeholder with its value.
    async fn fill(&self, value: &str) -> String {
        let (before, rest) = value.split_once('<').unwrap_or((value, ""));
        let Some((name, after)) = rest.split_once('>') else {
            return value.to_owned();
        };
        format!("{before}{}{after}", self.value(name).await)
    }

    async fn value(&self, name: &str) -> String {
        let (issuer, kyc) = (&self.issuer, &self.issuer.kyc);
        match name {
            "NUL" => "\0".to_owned(),
            "challenge" => CHALLENGE.to_owned(),
            "other client" => kyc.public_client().id().to_owned(),
            "key" => kyc.tenant().api_key().to_owned(),
            "other key" => kyc.other_tenant().api_key().to_owned(),
            "access token" => self.access_token.clone(),
            "ID token" => self.id_token.clone(),
            "another client's code" => issuer.code_for(kyc.public_client()).await,
            "used code" => {
                issuer.token(&issuer.exchange(&self.code)).await.assert_ok();
                self.code.clone()
            }
            "revoked access token" => {
                let form = issuer.exchange(&self.code);
                let tokens = issuer.token(&form).await.json();
                issuer.token(&form).await.assert_status(400);
                tokens["access_token"].as_str().unwrap().to_owned()
            }
            "late code" => {
                kyc.clock().advance(Duration::from_secs(61));
                self.code.clone()
            }
            "late access token" => {
                kyc.clock().advance(Duration::from_secs(15 * 60));
                self.access_token.clone()
            }
            "basic" => {
                use base64::{Engine as _, engine::general_purpose::STANDARD};
                let client = kyc.client();
                let pair = format!("{}:{}", client.id(), client.secret().unwrap());
                format!("Basic {}", STANDARD.encode(pair))
            }
            letters => {
                let count = letters.strip_suffix(" letters").unwrap();
                "v".repeat(count.parse().unwrap())
            }
        }
    }

    async fn send(&self, request: Request) -> Page {
        let url = format!("{}{}", self.issuer.kyc.origin(), request.path);
        let mut url = url::Url::parse(&url).unwrap();
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut visit = self.issuer.browser.request(request.method, url);
        let form: Vec<_> = request.form.iter().map(|(n, v)| (&**n, &**v)).collect();
        if !form.is_empty() {
            visit = visit.form(&form);
        }
        for (name, value) in &request.headers {
            visit = visit.header(name, value);
        }
        visit.stay().send().await.unwrap()
    }
}

fn bearer(token: &str) -> Vec<(String, String)> {
    pairs(&[("Authorization", &format!("Bearer {token}"))])
}

/// Changes one parameter or header. `how` is `absent`, `empty`, `huge`, `twice` or the new value.
fn change_one(list: &mut Vec<(String, String)>, name: &str, how: &str) {
    let has = list.iter().any(|(own, _)| own == name);
    match how {
        "absent" => *list = without(std::mem::take(list), name),
        "empty" => *list = set(std::mem::take(list), name, ""),
        "huge" => *list = set(std::mem::take(list), name, &"x".repeat(5000)),
        "twice" => {
            let own = list.iter().find(|(own, _)| own == name).cloned();
            let own = own.unwrap_or_else(|| (name.to_owned(), String::new()));
            if !has {
                list.push(own.clone());
            }
            list.push(own);
        }
        value if has => *list = set(std::mem::take(list), name, value),
        value => list.push((name.to_owned(), value.to_owned())),
    }
}
