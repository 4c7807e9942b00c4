package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const callback = "http://127.0.0.1/callback"

// TestStrangers talks to each fake as a client that knows nothing of enlace: what
// the lines say, and plain requests by the providers' documents.
func TestStrangers(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	reading, writing := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, options{contacts: 300, deals: 10, documents: 30, redirect: callback}, writing)
		writing.Close()
	}()
	lines := map[string]map[string]any{}
	scanner := bufio.NewScanner(reading)
	for len(lines) < len(strangers) && scanner.Scan() {
		var l map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatalf("%q: %v", scanner.Text(), err)
		}
		lines[l["provider"].(string)] = l
	}
	for provider, use := range strangers {
		t.Run(provider, func(t *testing.T) {
			if lines[provider] == nil {
				t.Fatal("no line")
			}
			use(stranger{t: t, line: lines[provider], header: http.Header{}})
		})
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

var strangers = map[string]func(stranger){
	"bitrix24": func(s stranger) {
		s.want(s.get(s.of("webhook_url")+"crm.item.list.json?entityTypeId=3", ""), "total", 300.0)
		token := s.authorize()
		s.want(s.get(s.of("url")+"/rest/profile.json?auth="+token, ""), "result.ID", nil)
	},
	"zapsign": func(s stranger) {
		s.want(s.get(s.of("url")+"docs/?page=1", "Bearer "+s.of("api_token")), "count", 30.0)
		s.want(s.get(s.of("url")+"docs/?page=1", "Bearer wrong"), "detail", nil)
	},
	"rdstation": func(s stranger) {
		token := s.authorize()
		s.want(s.get(s.of("url")+"/marketing/account_info", "Bearer "+token), "name", nil)
		s.want(s.send(s.of("url")+"/platform/conversions?api_key="+s.of("api_key"), "application/json",
			`{"event_type":"CONVERSION","event_family":"CDP","payload":{"conversion_identifier":"x","email":"a@example.com"}}`), "event_uuid", nil)
	},
	"rdstation_crm": func(s stranger) {
		s.want(s.get(s.of("url")+"/crm/v2/users", "Bearer "+s.authorize()), "data", nil)
	},
	"rdstation_crm_v1": func(s stranger) {
		s.want(s.get(s.of("url")+"/token/check?token="+s.of("api_token"), ""), "email", nil)
	},
	"fake": func(s stranger) {
		s.want(s.get(s.of("url")+"contacts?limit=2", ""), "error.code", nil)
		s.header = http.Header{"X-Api-Key": {s.of("api_token")}}
		s.want(s.get(s.of("url")+"contacts?limit=2", ""), "total", 3.0)
	},
}

// stranger is such a client.
type stranger struct {
	t      *testing.T
	line   map[string]any
	header http.Header // of the requests to come
}

func (s stranger) of(name string) string {
	s.t.Helper()
	text, ok := s.line[name].(string)
	if !ok {
		s.t.Fatalf("the line has no %s: %v", name, s.line)
	}
	return text
}

func (s stranger) get(address, authorization string) map[string]any {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header = s.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return s.do(r)
}

func (s stranger) send(address, contentType, body string) map[string]any {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	return s.do(r)
}

func (s stranger) do(r *http.Request) map[string]any {
	s.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		s.t.Fatalf("%s %s: status %d: %v", r.Method, r.URL.Path, answer.StatusCode, err)
	}
	return body
}

// want fails unless the answer has the member, and that value if it is not nil.
func (s stranger) want(body map[string]any, path string, value any) {
	s.t.Helper()
	var at any = body
	for name := range strings.SplitSeq(path, ".") {
		members, _ := at.(map[string]any)
		at = members[name]
	}
	if at == nil || value != nil && at != value {
		s.t.Errorf("%s is %v, want %v: %v", path, at, value, body)
	}
}

// authorize goes the way of OAuth 2.0, of which only the redirect needs a person.
func (s stranger) authorize() string {
	s.t.Helper()
	query := url.Values{"client_id": {s.of("client_id")}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"x"}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(s.of("authorize_url") + "?" + query.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil || back.Query().Get("state") != "x" {
		s.t.Fatalf("the dialog answered %d: %v, %v", answer.StatusCode, back, err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {s.of("client_id")}, "client_secret": {s.of("client_secret")},
		"redirect_uri": {callback}, "code": {back.Query().Get("code")}}
	token := s.send(s.of("token_url"), "application/x-www-form-urlencoded", form.Encode())
	s.want(token, "access_token", nil)
	s.want(token, "refresh_token", nil)
	return token["access_token"].(string)
}
