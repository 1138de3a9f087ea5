package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/server"
)

func TestListen(t *testing.T) {
	for address, allowed := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "127.1.2.3:0": true,
		":0": false, "0.0.0.0:0": false, "[::]:0": false, "192.0.2.1:80": false, "10.0.0.1:8420": false,
	} {
		listener, err := server.Listen(t.Context(), address)
		if allowed != (err == nil) || !allowed && !errors.Is(err, server.ErrExposed) {
			t.Errorf("%s: %v", address, err)
		}
		if err == nil {
			listener.Close()
		}
	}
	if _, err := server.Listen(t.Context(), "127.0.0.1"); err == nil {
		t.Error("an address without a port was taken")
	}
}

// TestOrigin: a page from elsewhere, under a name that was pointed here, gets
// nothing.
func TestOrigin(t *testing.T) {
	r := startRig(t, nil, server.Options{Origins: []string{"https://app.example.com"}})
	for origin, status := range map[string]int{
		"":                             http.StatusOK,
		"http://localhost:3000":        http.StatusOK,
		"http://127.0.0.1:8420":        http.StatusOK,
		"http://[::1]:8420":            http.StatusOK,
		"https://app.example.com":      http.StatusOK,
		"null":                         http.StatusForbidden,
		"http://evil.example":          http.StatusForbidden,
		"http://localhost.evil.test":   http.StatusForbidden,
		"http://app.example.com":       http.StatusForbidden,
		"https://app.example.com.evil": http.StatusForbidden,
	} {
		request, err := http.NewRequest(http.MethodPost, r.url+"/perdure.v1.SessionService/ListSessions", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("a page of %q got %s", origin, response.Status)
		}
	}
}
