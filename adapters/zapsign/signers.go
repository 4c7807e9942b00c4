package zapsign

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/enlace-go/enlace"
)

// The ways to authenticate a signer (sheet 3.4). ZapSign reads them back in
// several spellings; compare with [SameAuthMode].
const (
	AuthScreen              = "assinaturaTela" // the default: a drawn signature
	AuthEmailToken          = "tokenEmail"
	AuthScreenEmailToken    = "assinaturaTela-tokenEmail"
	AuthSMSToken            = "tokenSms" // paid
	AuthScreenSMSToken      = "assinaturaTela-tokenSms"
	AuthWhatsAppToken       = "tokenWhatsapp" // paid
	AuthScreenWhatsAppToken = "assinaturaTela-tokenWhatsapp"
	AuthCertificate         = "certificadoDigital" // paid
	AuthCPF                 = "CPF"
	AuthScreenCPF           = "assinaturaTela-cpf"
)

// SignerInput is what a signer is made from or changed to (sheet 2.2.1). What is
// left out takes ZapSign's default, or stays as it is; booleans are pointers so
// that false can be sent: new(false).
type SignerInput struct {
	Name         string `json:"name,omitempty"`          // required but in updates
	Email        string `json:"email,omitempty"`         // required for SendEmail
	PhoneCountry string `json:"phone_country,omitempty"` // digits; 55 by default
	PhoneNumber  string `json:"phone_number,omitempty"`  // digits, with the area code
	ExternalID   string `json:"external_id,omitempty"`
	AuthMode     string `json:"auth_mode,omitempty"`
	CPF          string `json:"cpf,omitempty"`
	RequireCPF   *bool  `json:"require_cpf,omitempty"`
	ValidateCPF  *bool  `json:"validate_cpf,omitempty"` // check it with the tax authority; needs CPF
	// SendEmail and SendWhatsApp (paid, needs a phone) send the link; in an update
	// again, at most once in 30 minutes (see [ResendToSigner]). Otherwise deliver
	// Signer.SignURL yourself.
	SendEmail          *bool `json:"send_automatic_email,omitempty"`
	SendWhatsApp       *bool `json:"send_automatic_whatsapp,omitempty"`
	WhatsAppSignedFile *bool `json:"send_automatic_whatsapp_signed_file,omitempty"` // paid
	// OrderGroup is the signer's turn, with Common.SignatureOrderActive: 1, 2, 3…
	// without gaps; equal numbers are one group. It orders the messages, and does
	// not keep one who has the link from signing early. Creates only.
	OrderGroup           int    `json:"order_group,omitempty"`
	CustomMessage        string `json:"custom_message,omitempty"` // creates only; one line for WhatsApp
	LockName             *bool  `json:"lock_name,omitempty"`
	LockEmail            *bool  `json:"lock_email,omitempty"`
	LockPhone            *bool  `json:"lock_phone,omitempty"`
	BlankEmail           *bool  `json:"blank_email,omitempty"` // do not ask for it
	BlankPhone           *bool  `json:"blank_phone,omitempty"`
	HideEmail            *bool  `json:"hide_email,omitempty"` // in the report
	HidePhone            *bool  `json:"hide_phone,omitempty"`
	RequireSelfiePhoto   *bool  `json:"require_selfie_photo,omitempty"`
	RequireDocumentPhoto *bool  `json:"require_document_photo,omitempty"`
	// SelfieValidation is none, liveness-document-match, liveness-NXCD,
	// face-match-and-datavalid, identity-verification-global or
	// identity-verification; paid.
	SelfieValidation     string `json:"selfie_validation_type,omitempty"`
	DocumentPhotoURL     string `json:"document_photo_url,omitempty"` // public
	DocumentBackPhotoURL string `json:"document_verse_photo_url,omitempty"`
	Qualification        string `json:"qualification,omitempty"` // "Witness"
	RedirectLink         string `json:"redirect_link,omitempty"` // with its scheme
	SignatureAnchor      string `json:"signature_placement,omitempty"`
	InitialsAnchor       string `json:"rubrica_placement,omitempty"`

	// Key makes [AddSigner] a call that can be repeated safely.
	Key string `json:"-"`
}

// AddSigner adds a signer to a document in progress: POST
// /docs/{token}/add-signer/ (sheet 2.2.2). There is no list of signers: they come
// with the document.
//
// It is sent once. With in.Key, which becomes the external id unless there is
// one, the document is looked through first, and after a lost answer, and a
// signer with that external id is returned; see [CreateDocument]. Errors:
// ErrInvalid, also once a signature by digital certificate exists; ErrNotFound.
func AddSigner(ctx context.Context, c *enlace.Conn, document string, in SignerInput) (Signer, error) {
	const op = "add signer"
	if in.Name == "" {
		return Signer{}, invalid(op, "Name", "missing", "a name")
	}
	fields, err := object(op, in)
	if err != nil {
		return Signer{}, err
	}
	body, _, err := addSigner(ctx, c, document, fields, in.Key)
	if err != nil {
		return Signer{}, err
	}
	s, err := decode[Signer](op, body)
	s.DocumentToken = document
	return s, err
}

func addSigner(ctx context.Context, c *enlace.Conn, document string, fields map[string]json.RawMessage, key string) (json.RawMessage, bool, error) {
	const op = "add signer"
	at, err := path("docs", document, "add-signer")
	if err != nil {
		return nil, false, err
	}
	send := enlace.Call{Method: http.MethodPost, Path: at, Body: fields, Op: op}
	if key == "" {
		body, err := write(ctx, c, send)
		return body, err == nil, err
	}
	if textOf(fields, "external_id") == "" {
		setText(fields, "external_id", key)
	}
	external := textOf(fields, "external_id")
	find := func(ctx context.Context) (json.RawMessage, error) {
		return findIn(ctx, c, op, document, "signers", func(s Signer) bool { return s.ExternalID == external })
	}
	return creation{op, find, send}.run(ctx, c)
}

// GetSigner reads a signer: GET /signers/{token}/ (sheet 2.2.2). Errors:
// ErrNotFound.
func GetSigner(ctx context.Context, c *enlace.Conn, token string) (Signer, error) {
	return getObject[Signer](ctx, c, "read signer", "signers", token)
}

// UpdateSigner changes a signer who has not signed: POST /signers/{token}/ (sheet
// 2.2.2). Changing the e-mail sends nothing by itself. It may be repeated, and
// enlace does, unless it sends a message. Errors: ErrInvalid, also for one who
// has signed; ErrNotFound.
func UpdateSigner(ctx context.Context, c *enlace.Conn, token string, in SignerInput) (Signer, error) {
	fields, err := object("update signer", in)
	if err != nil {
		return Signer{}, err
	}
	body, err := updateSigner(ctx, c, token, fields)
	if err != nil {
		return Signer{}, err
	}
	return decode[Signer]("update signer", body)
}

func updateSigner(ctx context.Context, c *enlace.Conn, token string, fields map[string]json.RawMessage) (json.RawMessage, error) {
	at, err := path("signers", token)
	if err != nil {
		return nil, err
	}
	sends := string(fields["send_automatic_email"]) == "true" || string(fields["send_automatic_whatsapp"]) == "true"
	return write(ctx, c, enlace.Call{Method: http.MethodPost, Path: at, Body: fields, Idempotent: !sends, Op: "update signer"})
}

// Channel is a way to send a signer the link.
type Channel string

// The channels.
const (
	ByEmail    Channel = "email"
	ByWhatsApp Channel = "whatsapp" // paid
)

// ResendWindow is how long ZapSign drops further messages to a signer, answering
// as if they were sent (sheet 2.2.2).
const ResendWindow = 30 * time.Minute

// resendMargin is for clocks that differ.
const resendMargin = 10 * time.Second

// ResendToSigner sends the link again: POST /signers/{token}/ (sheet 2.2.2).
//
// Within [ResendWindow] of the last message ZapSign answers well and sends
// nothing, also if the address was changed meanwhile, and nothing tells. So the
// host says when the last message went out: the time of the last call, or of the
// event signature_notification_sent. If that is too early nothing is sent, and
// the error is ErrRateLimited with the time left in [enlace.RetryAfter]. The zero
// time means that it is not known. It is sent once. Errors besides: ErrInvalid,
// ErrNotFound.
func ResendToSigner(ctx context.Context, c *enlace.Conn, token string, by Channel, last time.Time) (Signer, error) {
	const op = "resend to signer"
	if left := time.Until(last.Add(ResendWindow + resendMargin)); !last.IsZero() && left > 0 {
		return Signer{}, &enlace.Error{Provider: Name, Op: op, Kind: enlace.ErrRateLimited, Outcome: enlace.OutcomeNotRun,
			Partial: true, Retry: left, Message: "ZapSign would drop a second message within 30 minutes"}
	}
	switch by {
	case ByEmail:
		return UpdateSigner(ctx, c, token, SignerInput{SendEmail: new(true)})
	case ByWhatsApp:
		return UpdateSigner(ctx, c, token, SignerInput{SendWhatsApp: new(true)})
	}
	return Signer{}, invalid(op, "by", "not a channel", "email, whatsapp")
}

// RemoveSigner takes a signer off a document: DELETE /signer/{token}/remove/
// (sheet 2.2.2). A doc_signed event may follow, since the file is made again. It
// may be repeated, and enlace does. Errors: ErrInvalid for one who has signed,
// and for the only one; ErrNotFound, also after an earlier removal.
func RemoveSigner(ctx context.Context, c *enlace.Conn, token string) error {
	at, err := path("signer", token, "remove")
	if err != nil {
		return err
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodDelete, Path: at, Idempotent: true, Op: "remove signer"})
}

// ResetAuthAttempts gives a signer new attempts at the biometric validation: PUT
// /reset-auth-attempts/{token}/ (sheet 2.2.2). It may be repeated, and enlace
// does. Errors: ErrInvalid while attempts remain.
func ResetAuthAttempts(ctx context.Context, c *enlace.Conn, token string) error {
	at, err := path("reset-auth-attempts", token)
	if err != nil {
		return err
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPut, Path: at, Idempotent: true, Op: "reset attempts"})
}

// Verification is one attempt of a signer at the biometric validation.
type Verification struct {
	Type                 string          `json:"type"`
	Number               int             `json:"validation_number"`
	Status               string          `json:"status"`
	Reason               string          `json:"reason"`
	CreatedAt            Time            `json:"created_at"`
	DocumentPhotoURL     string          `json:"document_photo_url"`
	DocumentBackPhotoURL string          `json:"document_verse_photo_url"`
	SelfiePhotoURL       string          `json:"selfie_photo_url"`
	DocumentOCR          json.RawMessage `json:"document_ocr"` // what was read off the document
}

// Verifications reads a signer's attempts at the biometric validation: GET
// /signer-verification-details/{token}/ (sheet 2.2.2; a page that the docs hide).
// Errors: ErrNotFound.
func Verifications(ctx context.Context, c *enlace.Conn, token string) ([]Verification, error) {
	at, err := path("signer-verification-details", token)
	if err != nil {
		return nil, err
	}
	answer, err := get[struct{ Validations []Verification }](ctx, c, "read verifications", at, nil)
	return answer.Validations, err
}

// DropSignerGroups takes a document's groups of signers away: DELETE
// /signature-group/{doc_token}/ (sheet 2.2.2). It may be repeated, and enlace
// does. Errors: ErrNotFound.
func DropSignerGroups(ctx context.Context, c *enlace.Conn, document string) error {
	at, err := path("signature-group", document)
	if err != nil {
		return err
	}
	return c.Do(ctx, enlace.Call{Method: http.MethodDelete, Path: at, Idempotent: true, Op: "drop signer groups"}, nil)
}

// BatchSignature signs for a user of the account. User is the user's token
// (Settings > My profile > Security); the rest is for signers who must show it.
type BatchSignature struct {
	User                 enlace.Secret
	Signers              []string // tokens of signers, at most 100, whose e-mail is empty or the user's
	SelfiePhoto          string
	DocumentPhotoURL     string
	DocumentBackPhotoURL string
	CPF                  string
}

// SignBatch signs documents in the name of a user: POST /sign/ (sheet 2.2.2).
// Only [AuthScreen] can be signed so; it needs a plan and an add-on. It is sent
// once, and signs later: follow the events. Errors: ErrNotFound if any of the
// tokens is unknown, ErrForbidden without the add-on, ErrInvalid.
func SignBatch(ctx context.Context, c *enlace.Conn, in BatchSignature) error {
	const op = "sign batch"
	if len(in.Signers) == 0 || len(in.Signers) > 100 {
		return invalid(op, "Signers", "none or too many", "1 to 100 tokens")
	}
	body := map[string]any{"user_token": in.User.Reveal(), "signer_tokens": in.Signers}
	for name, text := range map[string]string{"selfie_photo": in.SelfiePhoto, "document_photo_url": in.DocumentPhotoURL,
		"document_verse_photo_url": in.DocumentBackPhotoURL, "cpf": in.CPF} {
		if text != "" {
			body[name] = text
		}
	}
	return acknowledge(ctx, c, enlace.Call{Method: http.MethodPost, Path: "sign/", Body: body, Op: op})
}
