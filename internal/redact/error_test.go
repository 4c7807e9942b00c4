package redact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/enlace-go/enlace/internal/redact"
)

func TestError(t *testing.T) {
	const address = "https://joe:CANARY@acme.example/rest/1/CANARY/x?auth=CANARY"
	control := "\x7f"
	_, parseErr := url.Parse("https://CANARY" + control)
	withURL := func(err error) error { return &url.Error{Op: "Get", URL: address, Err: err} }
	wrapper := errors.New("wrapper")
	tests := []struct {
		name string
		err  error
		want string
		is   error
	}{
		{"url.Error", withURL(io.ErrUnexpectedEOF), "Get acme.example: unexpected EOF", io.ErrUnexpectedEOF},
		{"wrapped", fmt.Errorf("call %s: %w", address, withURL(io.EOF)), "Get acme.example: EOF", io.EOF},
		{"in itself", withURL(fmt.Errorf("redirect to %s: %w", address, withURL(io.EOF))), "Get acme.example: EOF", io.EOF},
		{"joined", errors.Join(wrapper, withURL(io.EOF)), "Get acme.example: EOF", wrapper},
		{"of url.Parse", parseErr, "parse acme.example: net/url: invalid control character in URL", parseErr},
		{"no cause", withURL(nil), "Get acme.example: no cause given", nil},
		{"URL in a text", fmt.Errorf("cannot reach %s now: %w", address, io.EOF), "acme.example: cannot reach [url] now: EOF", io.EOF},
		{"URL in an inner text", withURL(fmt.Errorf(`bad "%s": %w`, strings.ReplaceAll(address, "/", `\/`), io.EOF)), `Get acme.example: bad "[url]": EOF`, io.EOF},
		{"credential in a text", errors.New("bad Bearer CANARY\nfaked line"), "acme.example: bad Bearer [redacted] faked line", nil},
		{"nothing to hide", io.EOF, "EOF", io.EOF},
	}
	for _, test := range tests {
		got := redact.Error(test.err, "acme.example")
		if got.Error() != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			text := fmt.Sprintf(verb, got)
			if strings.Contains(text, "CANARY") || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", "CANARY")) {
				t.Errorf("%s: %s shows %s", test.name, verb, text)
			}
		}
		if test.is != nil && !errors.Is(got, test.is) {
			t.Errorf("%s: errors.Is does not find %v", test.name, test.is)
		}
		if _, found := errors.AsType[*url.Error](got); found {
			t.Errorf("%s: errors.As gives the URL away", test.name)
		}
	}
	if got := redact.Error(nil, "host"); got != nil {
		t.Errorf("nil became %v", got)
	}
	if got := redact.Error(io.EOF, "host"); got != io.EOF {
		t.Errorf("an error with nothing to hide became %v", got)
	}
	if got := redact.Error(withURL(io.EOF), "").Error(); got != "Get: EOF" {
		t.Errorf("no host: %q", got)
	}
}

func TestErrorKnowsTheSecrets(t *testing.T) {
	r := redact.New("known-secret")
	inner := fmt.Errorf("server said known-secret: %w", io.EOF)
	got := r.Error(&url.Error{Op: "Post", URL: "https://h/known-secret", Err: inner}, "h")
	if want := "Post h: server said [redacted]: EOF"; got.Error() != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(got, io.EOF) {
		t.Error("errors.Is does not find the cause")
	}
}

func TestErrorOfHTTPClient(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := refused.Addr().String()
	refused.Close()
	_, err = http.Get("http://joe:CANARY@" + address + "/rest/1/CANARY/")
	got := redact.Error(err, "acme.example")
	if opErr, ok := errors.AsType[*net.OpError](got); !ok || opErr.Op != "dial" {
		t.Errorf("no *net.OpError in %v", got)
	}
	if strings.Contains(got.Error(), "CANARY") || strings.Contains(got.Error(), "/rest") {
		t.Errorf("the URL is left: %v", got)
	}

	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/?auth=CANARY", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.Client().Do(request)
	got = redact.Error(err, "acme.example")
	if !errors.Is(got, context.Canceled) || got.Error() != "Get acme.example: context canceled" {
		t.Errorf("got %v", got)
	}

	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, err = server.Client().Do(request.WithContext(expired))
	var timeout net.Error
	if got = redact.Error(err, "h"); !errors.As(got, &timeout) || !timeout.Timeout() || strings.Contains(timeout.Error(), "CANARY") {
		t.Errorf("not a time-out without URL: %v", got)
	}
}

func ExampleError() {
	broken := "%zz"
	_, err := url.Parse("https://acme.bitrix24.com/rest/1/k3y/" + broken)
	fmt.Println(redact.Error(err, "acme.bitrix24.com"))
	// Output: parse acme.bitrix24.com: invalid URL escape "%zz"
}
