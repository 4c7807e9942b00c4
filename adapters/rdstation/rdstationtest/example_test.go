package rdstationtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
)

// call is a client of four lines.
func call(client *http.Client, method, address, bearer, body string) (status int, answer map[string]any) {
	request, _ := http.NewRequest(method, address, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return 0, map[string]any{"error": err.Error()}
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer
}

func ExampleNewServer() {
	server := rdstationtest.NewServer(rdstationtest.Options{})
	defer server.Close()
	bearer := server.Authorize(server.App(rdstationtest.Marketing).ClientID).AccessToken

	status, contact := call(http.DefaultClient, "PATCH", server.URL+"/platform/contacts/email:bia@exemplo.com.br", bearer, `{"name":"Bia Nunes"}`)
	fmt.Println(status, contact["name"])
	status, answer := call(http.DefaultClient, "POST", server.URL+"/platform/contacts", bearer, `{"email":"bia@exemplo.com.br"}`)
	fmt.Println(status, answer["errors"].(map[string]any)["error_type"])
	// Output:
	// 200 Bia Nunes
	// 400 EMAIL_ALREADY_IN_USE
}

// Webhooks are real requests; in memory they go to a handler.
func ExampleHandlerTransport() {
	receiver := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var event struct {
			Type       string `json:"event_type"`
			Identifier string `json:"event_identifier"`
		}
		_ = json.Unmarshal(body, &event)
		fmt.Printf("%s %q %q\n", r.URL.Path, event.Type, event.Identifier)
	})
	account := rdstationtest.New(rdstationtest.Options{WebhookTransport: rdstationtest.HandlerTransport(receiver)})
	defer account.Close()
	client := &http.Client{Transport: account.Transport()}
	bearer := account.Authorize(account.App(rdstationtest.Marketing).ClientID).AccessToken

	call(client, "POST", account.APIURL()+"/integrations/webhooks", bearer,
		`{"event_type":"WEBHOOK.CONVERTED","entity_type":"CONTACT","http_method":"POST","url":"https://hooks.example/secret"}`)
	account.Convert("bia@exemplo.com.br", "orcamento", nil)
	account.Wait()
	// Output:
	// /secret "" ""
	// /secret "WEBHOOK.CONVERTED" "orcamento"
}

// Limits are those of the account's plan. The clock can be moved where time is real.
func ExamplePlanLimits() {
	account := rdstationtest.New(rdstationtest.Options{Plan: rdstationtest.Pro, Limits: rdstationtest.PlanLimits(rdstationtest.Pro)})
	defer account.Close()
	client := &http.Client{Transport: account.Transport()}
	bearer := account.Authorize(account.App(rdstationtest.Marketing).ClientID).AccessToken
	address := account.APIURL() + "/platform/contacts/email:bia@exemplo.com.br"

	for range 24 {
		call(client, "PATCH", address, bearer, `{"city":"Olinda"}`)
	}
	status, refusal := call(client, "PATCH", address, bearer, `{"city":"Recife"}`)
	fmt.Println(status, refusal["max"], refusal["usage"])
	account.Advance(24 * time.Hour)
	status, _ = call(client, "PATCH", address, account.Authorize(account.App(rdstationtest.Marketing).ClientID).AccessToken, `{"city":"Recife"}`)
	fmt.Println(status)
	// Output:
	// 429 24 25
	// 200
}

func ExampleAccount_Fault() {
	account := rdstationtest.New(rdstationtest.Options{})
	defer account.Close()
	client := &http.Client{Transport: account.Transport()}
	bearer := account.Authorize(account.App(rdstationtest.Marketing).ClientID).AccessToken
	account.Fault(rdstationtest.Fault{Route: "GET /marketing/account_info", Kind: rdstationtest.Shape, Shape: "G", After: 1})

	for range 3 {
		status, _ := call(client, "GET", account.APIURL()+"/marketing/account_info", bearer, "")
		fmt.Println(status)
	}
	// Output:
	// 200
	// 429
	// 200
}
