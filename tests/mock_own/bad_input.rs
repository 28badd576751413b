//! Sends every row of the table of bad inputs (case 136). The table is documentation.

use std::time::Duration;

use http::Method;
use kycport::mock::{Endpoint, Page};
use serde_json::json;

use crate::support::{BACK, CHALLENGE, Desk, pairs, query, set, without};

const TABLE: &str = include_str!("bad_input.md");

/// A redirect URI that the client has besides, and the other client has not.
const OWN_BACK: &str = "https://only.acme.test/callback";

struct Refused<'a> {
    to: &'a str,
    bends: Vec<&'a str>,
    answer: &'a str,
    error: &'a str,
    row: &'a str,
}

fn rows() -> Vec<Refused<'static>> {
    let lines = TABLE.lines().filter(|line| line.starts_with("| "));
    let cells = lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim));
    let rows = cells.map(|mut cells| Refused {
        to: cells.next().unwrap(),
        bends: cells
            .next()
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect(),
        answer: cells.next().unwrap(),
        error: cells.next().unwrap(),
        row: cells.next().unwrap(),
    });
    rows.filter(|row| row.to != "to").collect()
}

/// A request in parts, good until it is bent.
struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

// case 136
#[tokio::test]
async fn every_row_is_refused_as_it_says() {
    let rows = rows();
    assert!(rows.len() > 150, "{}", rows.len());
    for row in rows {
        let what = format!("{} with {:?}", row.to, row.bends);
        let bench = Bench::new().await;
        let mut request = bench.good(row.to);
        for bend in &row.bends {
            bench.bend(row.to, &mut request, bend).await;
        }
        let page = bench.send(request).await;
        let (status, is_page) = match row.answer.strip_suffix(" page") {
            Some(status) => (status, true),
            None => (row.answer, false),
        };
        assert_eq!(page.status().to_string(), status, "{what}: {}", page.body());
        let log = bench.desk.kyc.all_requests();
        let refusal = log.last().unwrap().refusal();
        let refusal = refusal.unwrap_or_else(|| panic!("{what}: no refusal"));
        assert_eq!((refusal.error, refusal.row), (row.error, row.row), "{what}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        if is_page {
            assert!(page.body().starts_with("<!doctype html>"), "{what}");
            assert_eq!(page.location(), None, "{what}");
        } else if status == "303" {
            goes_back(&page, &row, &what);
        } else {
            assert_eq!(page.json()["error"], row.error, "{what}");
            let challenged = page.header("www-authenticate").is_some();
            assert!(challenged || status != "401", "{what}");
        }
    }
}

/// Back to the client, with everything that belongs there and no code.
fn goes_back(page: &Page, row: &Refused<'_>, what: &str) {
    let to = page.location().unwrap();
    assert!(to.as_str().starts_with(&format!("{BACK}?")), "{what}");
    let of = |name| query(&to, name);
    assert_eq!(of("error").as_deref(), Some(row.error), "{what}");
    assert!(of("error_description").unwrap().contains(row.row), "{what}");
    assert!(of("iss").is_some() && of("code").is_none(), "{what}");
    if !row.bends.concat().contains("state") {
        assert_eq!(of("state").as_deref(), Some("the state"), "{what}");
    }
}

// case 136: were a good request refused too, the table would show nothing.
#[tokio::test]
async fn what_is_not_bent_is_answered() {
    for (to, status) in [
        ("authorize", 200),
        ("token", 200),
        ("userinfo", 200),
        ("status", 200),
        ("case", 200),
    ] {
        let bench = Bench::new().await;
        let page = bench.send(bench.good(to)).await;
        assert_eq!(page.status(), status, "{to}: {}", page.body());
    }
}

/// A mock, and everything that a request could hold.
struct Bench {
    desk: Desk,
    code: String,
    access_token: String,
    id_token: String,
    /// Whom only the first tenant sees, and a case about them.
    person: String,
    case: String,
}

impl Bench {
    async fn new() -> Self {
        let desk = Desk::new().await;
        desk.kyc.client().register_redirect_uri(OWN_BACK).unwrap();
        let tenant = desk.kyc.tenant();
        let bob = desk.kyc.person("bob").only_for(tenant).create();
        let tokens = desk.tokens().await.json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let visit = desk
            .browser
            .request(Method::POST, desk.kyc.url(Endpoint::OpenCase))
            .header("authorization", &format!("Bearer {}", tenant.api_key()))
            .json(&json!({ "person_id": bob.id(), "level": "t2" }));
        let case = visit.fetch().send().await.unwrap().json()["id"].clone();
        // Nobody is signed in with this browser: `prompt=none` needs one that is.
        let code = desk.code().await;
        desk.browser.clear_cookies();
        Self {
            code,
            access_token: token("access_token"),
            id_token: token("id_token"),
            person: bob.id().to_owned(),
            case: case.as_str().unwrap().to_owned(),
            desk,
        }
    }

    fn good(&self, to: &str) -> Request {
        let kyc = &self.desk.kyc;
        let endpoint = match to {
            "authorize" => Endpoint::Authorize,
            "token" => Endpoint::Token,
            "userinfo" => Endpoint::Userinfo,
            "status" => Endpoint::Status,
            other => {
                assert_eq!(other, "case", "no place to send to");
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
            Endpoint::Authorize => request.query = self.desk.request(),
            Endpoint::Token => {
                request.method = Method::POST;
                request.form = self.desk.exchange(&self.code);
            }
            Endpoint::Userinfo => request.headers = bearer(&self.access_token),
            _ => request.headers = bearer(kyc.tenant().api_key()),
        }
        request
    }

    async fn bend(&self, to: &str, request: &mut Request, bend: &str) {
        if let Some(method) = bend.strip_prefix("method ") {
            request.method = method.parse().unwrap();
            return;
        }
        if let Some(path) = bend.strip_prefix("path ") {
            path.clone_into(&mut request.path);
            return;
        }
        if bend == "query gone" {
            request.query.clear();
            return;
        }
        if let Some(added) = bend.strip_prefix('?') {
            let (name, value) = added.split_once('=').unwrap();
            let value = self.fill(value).await;
            request.query.push((name.to_owned(), value));
            return;
        }
        if let Some((name, value)) = bend.split_once(": ") {
            let value = self.fill(value).await;
            bend_one(&mut request.headers, name, &value);
            return;
        }
        let params = match to {
            "token" => &mut request.form,
            _ => &mut request.query,
        };
        if let Some((name, value)) = bend.split_once('=') {
            let value = self.fill(value).await;
            bend_one(params, name, &value);
            return;
        }
        let (name, how) = bend.split_once(' ').unwrap();
        bend_one(params, name, how);
    }

    /// What stands between `<` and `>`.
    async fn fill(&self, value: &str) -> String {
        let (before, rest) = value.split_once('<').unwrap_or((value, ""));
        let Some((name, after)) = rest.split_once('>') else {
            return value.to_owned();
        };
        format!("{before}{}{after}", self.value(name).await)
    }

    async fn value(&self, name: &str) -> String {
        let (desk, kyc) = (&self.desk, &self.desk.kyc);
        match name {
            "NUL" => "\0".to_owned(),
            "challenge" => CHALLENGE.to_owned(),
            "other client" => kyc.public_client().id().to_owned(),
            "key" => kyc.tenant().api_key().to_owned(),
            "other key" => kyc.other_tenant().api_key().to_owned(),
            "access token" => self.access_token.clone(),
            "ID token" => self.id_token.clone(),
            "another client's code" => desk.code_for(kyc.public_client()).await,
            "used code" => {
                desk.token(&desk.exchange(&self.code)).await.assert_ok();
                self.code.clone()
            }
            "revoked access token" => {
                let form = desk.exchange(&self.code);
                let tokens = desk.token(&form).await.json();
                desk.token(&form).await.assert_status(400);
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
        let url = format!("{}{}", self.desk.kyc.origin(), request.path);
        let mut url = url::Url::parse(&url).unwrap();
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut visit = self.desk.browser.request(request.method, url);
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

/// Bends one parameter or header; any word but these is its new value.
fn bend_one(list: &mut Vec<(String, String)>, name: &str, how: &str) {
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
