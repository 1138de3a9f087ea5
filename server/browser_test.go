package server_test

import (
	"bytes"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/perdure/perdure/server"
)

// callingPage calls the server as a web application does, and shows what became
// of it.
const callingPage = `<!doctype html><body><pre id="result">nothing yet</pre><script>
fetch(%q, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({userId: "ada"})})
	.then(reply => reply.json())
	.then(reply => "created for " + reply.session.userId, err => "refused: " + err)
	.then(text => document.getElementById("result").textContent = text)
</script>`

// TestBrowser has a real browser load a page of an origin that is allowed, and
// one of an origin that is not; both call the server.
func TestBrowser(t *testing.T) {
	chromium := findChromium(t)
	page := http.NewServeMux()
	web := httptest.NewServer(page)
	defer web.Close()
	_, port, err := net.SplitHostPort(web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	allowed, refused := "http://app.test:"+port, "http://elsewhere.test:"+port
	r := startRig(t, nil, server.Options{Origins: []string{allowed}})
	page.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, callingPage, r.url+"/perdure.v1.SessionService/CreateSession")
	})
	for origin, want := range map[string]string{
		allowed: "created for ada",
		refused: "refused: TypeError: Failed to fetch",
	} {
		if got := browse(t, chromium, origin); got != want {
			t.Errorf("a page of %s was told %q, want %q", origin, got, want)
		}
	}
}

func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("there is no browser to test with: install chromium")
	}
	t.Skip("there is no browser to test with: install chromium")
	return ""
}

var result = regexp.MustCompile(`(?s)<pre id="result">(.*?)</pre>`)

// browse loads the page at an origin and returns what it shows in the end. Names
// under .test are those of this machine.
func browse(t *testing.T, chromium, origin string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+t.TempDir(), "--host-resolver-rules=MAP *.test 127.0.0.1",
		"--virtual-time-budget=10000", "--dump-dom", origin+"/")
	var log bytes.Buffer // of which most is about a desktop that is not there
	command.Stderr = &log
	dom, err := command.Output()
	if err != nil {
		t.Fatalf("the browser failed: %v\n%s", err, &log)
	}
	found := result.FindSubmatch(dom)
	if found == nil {
		t.Fatalf("the browser shows something else than the page: %s", dom)
	}
	return html.UnescapeString(string(found[1]))
}
