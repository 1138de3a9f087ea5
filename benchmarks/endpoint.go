package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"connectrpc.com/connect"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
)

// endpoint is one server of SessionService as its callers see it.
type endpoint struct {
	url  string
	json *http.Client
	grpc perdurev1connect.SessionServiceClient
}

func newEndpoint(addr net.Addr, callers int) *endpoint {
	clear2 := new(http.Protocols)
	clear2.SetUnencryptedHTTP2(true)
	e := &endpoint{url: "http://" + addr.String(), json: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}}
	e.grpc = perdurev1connect.NewSessionServiceClient(
		&http.Client{Transport: &http.Transport{Protocols: clear2}}, e.url, connect.WithGRPC())
	return e
}

func (e *endpoint) close() { e.json.CloseIdleConnections() }

// getJSON asks as curl does. What comes back is read and not decoded.
func (e *endpoint) getJSON(ctx context.Context, id string) error {
	body := bytes.NewReader([]byte(`{"id":"` + id + `"}`))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+perdurev1connect.SessionServiceGetSessionProcedure, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := e.json.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s", errWrong, response.Status)
	}
	return nil
}

func (e *endpoint) getGRPC(ctx context.Context, id string) error {
	_, err := e.grpc.GetSession(ctx, &perdurev1.GetSessionRequest{Id: id})
	return err
}
