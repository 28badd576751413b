# Signs in at the mock in KYCPORT_MOCK_URL, or at a new mock. Needs Python 3.9 and no packages.
import base64, hashlib, hmac, http.server, json, os, secrets, subprocess
from urllib import parse, request

class Stay(request.HTTPRedirectHandler):
    http_error_303 = lambda self, asked, answer, *_: answer
class App(http.server.BaseHTTPRequestHandler):  # receives webhooks
    log_message = lambda *_: None
    def do_POST(self):
        App.body, App.signature = self.rfile.read(int(self.headers["content-length"])), self.headers["x-kycport-signature"]
        self.send_response(204), self.end_headers()
web, app = request.build_opener(Stay, request.ProxyHandler({})), http.server.HTTPServer(("127.0.0.1", 0), App)
ask = lambda url, body=None, method=None, **headers: json.load(web.open(request.Request(url, body and body.encode(), headers, method=method)))
tell = lambda where, method="POST", **body: ask(where, json.dumps(body), method, **{"content-type": "application/json"})
flags = ["--bind", "127.0.0.1:0", "--print", "json", "--quiet", "--until-stdin-ends"]  # the mock exits with this script
start = lambda: subprocess.Popen([os.environ.get("KYCPORT_MOCK", "kycport-mock"), *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
running, base, verifier = os.environ.get("KYCPORT_MOCK_URL"), f"http://127.0.0.1:{app.server_port}", secrets.token_urlsafe(32)
kyc = tell(f"{running}/__mock/sandboxes")["issuer"] if running else json.loads((mock := start()).stdout.readline())
client = {"client_id": kyc["client_id"], "redirect_uri": f"{base}/callback"}; tell(kyc["admin_url"] + "/environment", redirect_uri=client["redirect_uri"])
tell(kyc["admin_url"] + "/webhooks/endpoints", url=f"{base}/hooks")
ada, at = tell(kyc["admin_url"] + "/persons", slug="ada", tier="t2"), ask(kyc["discovery_url"])
challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
login = {**client, "response_type": "code", "scope": "openid kyc", "state": "s", "nonce": "n", "code_challenge": challenge, "code_challenge_method": "S256"}
allowed = web.open(f"{at['authorization_endpoint']}?{parse.urlencode(login)}", f"person={ada['id']}&decision=allow".encode())
code = parse.parse_qs(parse.urlsplit(allowed.headers["location"]).query)["code"][0]
tokens = ask(at["token_endpoint"], parse.urlencode({**client, "grant_type": "authorization_code", "code": code, "client_secret": kyc["client_secret"], "code_verifier": verifier}))
userinfo = ask(at["userinfo_endpoint"], authorization="Bearer " + tokens["access_token"])
tell(kyc["admin_url"] + "/persons/ada", "PATCH", status="rejected"), app.handle_request()
assert hmac.compare_digest(App.signature, "sha256=" + hmac.new(kyc["webhook_secret"].encode(), App.body, "sha256").hexdigest())
print(f"ada signed in: {userinfo['kyc_status']} {userinfo['kyc_tier']}; then the webhook reported: {json.loads(App.body)['data']['kyc_status']}, with a valid signature")
