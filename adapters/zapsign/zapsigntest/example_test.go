package zapsigntest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
)

// request calls the API and returns the answer's status and body.
func request(api *zapsigntest.API, verb, path, body string) (int, []byte) {
	r, err := http.NewRequest(verb, api.BaseURL()+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+api.Token())
	r.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: api.Transport()}).Do(r)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, answer
}

const contractBody = `{"name":"Contrato","markdown_text":"# Contrato","signers":[{"name":"Ana Prado"}]}`

func Example() {
	api := zapsigntest.New(zapsigntest.Options{})
	defer api.Close()
	var document struct {
		Token   string
		Signers []struct{ Token string }
	}
	_, body := request(api, "POST", "docs/", contractBody)
	if err := json.Unmarshal(body, &document); err != nil {
		panic(err)
	}
	fmt.Println(api.Sign(document.Signers[0].Token))
	known, _ := api.Document(document.Token)
	fmt.Println(known.Name, known.Status)
	// Output:
	// <nil>
	// Contrato signed
}

// A receiver that fails once gets the event again after five seconds.
func ExampleAPI_Advance() {
	times := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if times++; times == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer receiver.Close()
	api := zapsigntest.New(zapsigntest.Options{})
	defer api.Close()
	request(api, "POST", "user/company/webhook/", `{"type":"doc_created","url":"`+receiver.URL+`"}`)
	request(api, "POST", "docs/", contractBody)
	api.Settle(context.Background())
	api.Advance(5 * time.Second)
	api.Settle(context.Background())
	for _, delivery := range api.Deliveries() {
		fmt.Println(delivery.Event, delivery.Attempt, delivery.Status)
	}
	// Output:
	// doc_created 1 500
	// doc_created 2 200
}

// The answer to a create is lost, but the document is there.
func ExampleAPI_Fault() {
	api := zapsigntest.New(zapsigntest.Options{})
	defer api.Close()
	api.Fault(zapsigntest.Fault{Route: "POST /docs/", Kind: zapsigntest.DropAfter})
	status, _ := request(api, "POST", "docs/", contractBody)
	fmt.Println(status, len(api.Documents()))
	// Output: 0 1
}

// Documents that exist from the start cost nothing and tell nobody.
func ExampleAPI_Seed() {
	api := zapsigntest.New(zapsigntest.Options{})
	defer api.Close()
	start := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	api.Seed(zapsigntest.Seed{Count: 100, Created: func(i int) time.Time { return start.AddDate(0, 0, i) }})
	_, body := request(api, "GET", "docs/?created_from=2026-02-10&created_to=2026-02-12", "")
	var page struct{ Count int }
	if err := json.Unmarshal(body, &page); err != nil {
		panic(err)
	}
	fmt.Println(page.Count, api.Credits(api.Token()))
	// Output: 3 0
}
