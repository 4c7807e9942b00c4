package zapsign

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/enlace-go/enlace/rawjson"
)

// Time is an instant as ZapSign writes it: RFC 3339 with or without a fraction,
// or with a space and an offset in the activity log (sheet 3.5). What is null,
// empty or of no known form is the zero time.
type Time struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler. It never fails, so that one odd date
// does not make a document unreadable.
func (t *Time) UnmarshalJSON(data []byte) error {
	text, _ := rawjson.String(data)
	t.Time = parseTime(text)
	return nil
}

// MarshalJSON implements json.Marshaler; the zero time is null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339Nano))
}

func parseTime(text string) time.Time {
	if at, err := time.Parse(time.RFC3339, strings.Replace(text, " ", "T", 1)); err == nil {
		return at.UTC()
	}
	return time.Time{}
}

// State is what a document's or a signer's status means, whatever language and
// vocabulary an endpoint spells it in (sheet 3.3).
type State string

// The states. A status that the sheet does not know is StateUnknown, and no end.
const (
	StateUnknown   State = ""
	StatePending   State = "pending"   // document: in progress. signer: has not opened the link
	StateOpened    State = "opened"    // signer: has opened the link
	StateCompleted State = "completed" // document: everyone has signed. signer: has signed
	StateRefused   State = "refused"   // refused by a signer, or cancelled by the company
	StateExpired   State = "expired"   // signer, in lists: the document's deadline has passed
	StateCancelled State = "cancelled" // signer, in lists: the document was cancelled
	StateDeleted   State = "deleted"   // document: deleted, whatever became of it before
)

var documentStates = map[string]State{
	"pending": StatePending, "signed": StateCompleted,
	"recusado": StateRefused, "refused": StateRefused, "rejected": StateRefused,
}

var signerStates = map[string]State{
	"new": StatePending, "nao_abriu": StatePending, "not-opened": StatePending,
	"link-opened": StateOpened, "abriu-link": StateOpened, "abriu": StateOpened, "opened": StateOpened,
	"signed": StateCompleted, "assinou": StateCompleted,
	"rejeitou": StateRefused, "recusou": StateRefused, "refused": StateRefused,
	"expirou": StateExpired, "cancelado": StateCancelled,
}

// Document is a document as it is read one by one, returned by creates, and sent
// by webhooks (sheet 3.1). Fields that ZapSign leaves out, or sends as null, are
// zero: it never tells the deadline, the order of signing and the observers.
//
// The links to files live an hour; see [DownloadSigned]. The tokens and links of
// its signers open the signature screen: keep them out of logs.
type Document struct {
	Token          string     `json:"token"`   // the key
	OpenID         int64      `json:"open_id"` // running number of the account, for people
	ExternalID     string     `json:"external_id"`
	Name           string     `json:"name"`
	FolderPath     string     `json:"folder_path"`
	FolderToken    string     `json:"folder_token"`
	Status         string     `json:"status"` // as ZapSign spells it; see State
	RejectReason   string     `json:"rejected_reason"`
	Lang           string     `json:"lang"`
	OriginalFile   string     `json:"original_file"`
	SignedFile     string     `json:"signed_file"` // set from the first signature on: final only in StateCompleted
	ExtraDocs      []ExtraDoc `json:"extra_docs"`  // in no order
	CreatedThrough string     `json:"created_through"`
	Deleted        bool       `json:"deleted"`
	DeletedAt      Time       `json:"deleted_at"`
	CreatedAt      Time       `json:"created_at"`
	LastUpdateAt   Time       `json:"last_update_at"` // moves with signatures, deletion and added signers; not with views
	CreatedBy      struct {
		Email string `json:"email"`
	} `json:"created_by"`
	Template     json.RawMessage `json:"template"` // of no documented shape
	Signers      []Signer        `json:"signers"`
	Answers      []Answer        `json:"answers"`
	AutoReminder int             `json:"auto_reminder"` // days
	Metadata     []Metadata      `json:"metadata"`
	OneClick     bool            `json:"one_click_active"`
	FileHash     string          `json:"original_file_hash"`
	// ParentToken is set only for an extra document read by its own token; then
	// nothing else is but the fields of [ExtraDoc].
	ParentToken string `json:"parent_doc_token"`
}

// State is what became of the document. That a deadline has passed does not show
// in it, only in the event doc_expired.
func (d Document) State() State {
	if d.Deleted {
		return StateDeleted
	}
	return documentStates[strings.ToLower(d.Status)]
}

// ExtraDoc is a further file of a document (sheet 3.1).
type ExtraDoc struct {
	OpenID       int64  `json:"open_id"`
	Token        string `json:"token"`
	Name         string `json:"name"`
	OriginalFile string `json:"original_file"`
	SignedFile   string `json:"signed_file"`
}

// Answer is what was filled into a template's variable, which is written without
// its braces.
type Answer struct {
	Variable string `json:"variable"`
	Value    string `json:"value"`
}

// Metadata is a fact of the host's own that comes back with webhooks.
type Metadata struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Signer is one who is to sign, as it is read one by one, with its document, and
// in webhooks (sheet 3.2). Token and SignURL open the signature screen: whoever
// has them can sign, so keep them out of logs.
type Signer struct {
	Token                string          `json:"token"`               // the key
	DocumentToken        string          `json:"doc_token,omitempty"` // put in by this package where it is known
	ExternalID           string          `json:"external_id"`
	SignURL              string          `json:"sign_url"`
	Status               string          `json:"status"` // as ZapSign spells it; see State
	StatusCode           string          `json:"status_code"`
	Name                 string          `json:"name"`
	Email                string          `json:"email"`
	PhoneCountry         string          `json:"phone_country"`
	PhoneNumber          string          `json:"phone_number"`
	LockName             bool            `json:"lock_name"`
	LockEmail            bool            `json:"lock_email"`
	LockPhone            bool            `json:"lock_phone"`
	HideEmail            bool            `json:"hide_email"`
	BlankEmail           bool            `json:"blank_email"`
	HidePhone            bool            `json:"hide_phone"`
	BlankPhone           bool            `json:"blank_phone"`
	TimesViewed          int             `json:"times_viewed"`
	FirstOpenedAt        Time            `json:"first_opened_at"`
	LastViewAt           Time            `json:"last_view_at"`
	SignedAt             Time            `json:"signed_at"` // also set for one who refused
	AuthMode             string          `json:"auth_mode"`
	Qualification        string          `json:"qualification"`
	RequireSelfiePhoto   bool            `json:"require_selfie_photo"`
	RequireDocumentPhoto bool            `json:"require_document_photo"`
	GeoLatitude          string          `json:"geo_latitude"`
	GeoLongitude         string          `json:"geo_longitude"`
	RedirectLink         string          `json:"redirect_link"`
	SignatureImage       string          `json:"signature_image"`
	InitialsImage        string          `json:"visto_image"`
	DocumentPhotoURL     string          `json:"document_photo_url"`
	DocumentBackPhotoURL string          `json:"document_verse_photo_url"`
	SelfiePhotoURL       string          `json:"selfie_photo_url"`
	SelfiePhotoURL2      string          `json:"selfie_photo_url2"`
	LivenessPhotoURL     string          `json:"liveness_photo_url"`
	SelfieValidation     string          `json:"selfie_validation_type"`
	SendVia              string          `json:"send_via"`
	ResendAttempts       *ResendAttempts `json:"resend_attempts"`
	CPF                  string          `json:"cpf"`
	CNPJ                 string          `json:"cnpj"`
	WhatsAppSignedFile   bool            `json:"send_automatic_whatsapp_signed_file"`
	IP                   string          `json:"ip"`
	SignatureAnchor      string          `json:"signature_anchor_text"`
	InitialsAnchor       string          `json:"rubrica_anchor_text"`
	Delegator            json.RawMessage `json:"delegator"` // of no documented shape
}

// ResendAttempts counts the messages that were sent again.
type ResendAttempts struct {
	WhatsApp int `json:"whatsapp"`
	Email    int `json:"email"`
	SMS      int `json:"sms"`
}

// State is how far the signer has come.
func (s Signer) State() State { return signerStates[strings.ToLower(s.Status)] }

// DocumentRow is a document as lists have it: fewer fields, nulls for empty texts
// (sheet 2.1.4). Extra documents come as rows too, without signers.
type DocumentRow struct {
	Token          string      `json:"token"`
	OpenID         int64       `json:"open_id"`
	Status         string      `json:"status"`
	Name           string      `json:"name"`
	OriginalFile   string      `json:"original_file"`
	SignedFile     string      `json:"signed_file"`
	CreatedAt      Time        `json:"created_at"`
	LastUpdateAt   Time        `json:"last_update_at"`
	CreatedThrough string      `json:"created_through"`
	Deleted        bool        `json:"deleted"`
	ExternalID     string      `json:"external_id"`
	FolderPath     string      `json:"folder_path"`
	Signers        []SignerRow `json:"signers"` // only when asked for
}

// State is what became of the document.
func (r DocumentRow) State() State {
	return Document{Status: r.Status, Deleted: r.Deleted}.State()
}

// SignerRow is a signer as lists have it (sheet 2.1.4).
type SignerRow struct {
	Token         string // the last part of SignURL: lists do not name it
	Name          string
	Email         string
	Status        string // in the vocabulary of lists; see State
	SignURL       string
	FirstOpenedAt Time
	SignedAt      Time
}

// UnmarshalJSON implements json.Unmarshaler. It reads the keys that were observed
// (nome, link_para_assinar) and those that are documented (name, signing_url).
func (r *SignerRow) UnmarshalJSON(data []byte) error {
	var row struct {
		Token, Name, Nome, Email, Status string
		Link                             string `json:"link_para_assinar"`
		SigningURL                       string `json:"signing_url"`
		SignURL                          string `json:"sign_url"`
		Opened                           Time   `json:"data_hora_primeira_abertura"`
		Signed                           Time   `json:"data_hora_assinatura"`
		OpenedAt                         Time   `json:"first_opened_at"`
		SignedAt                         Time   `json:"signed_at"`
	}
	if err := json.Unmarshal(data, &row); err != nil {
		return err
	}
	*r = SignerRow{Token: row.Token, Name: first(row.Name, row.Nome), Email: row.Email, Status: row.Status,
		SignURL: first(row.Link, row.SigningURL, row.SignURL), FirstOpenedAt: row.Opened, SignedAt: row.Signed}
	if r.Token == "" {
		r.Token = lastPathSegment(r.SignURL)
	}
	if r.FirstOpenedAt.IsZero() {
		r.FirstOpenedAt = row.OpenedAt
	}
	if r.SignedAt.IsZero() {
		r.SignedAt = row.SignedAt
	}
	return nil
}

// State is how far the signer has come. A document's own end goes before it.
func (r SignerRow) State() State { return Signer{Status: r.Status}.State() }

func lastPathSegment(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	p := strings.TrimRight(u.Path, "/")
	return p[strings.LastIndexByte(p, '/')+1:]
}

// Template is a DOCX template (sheet 2.4). Signers and Inputs are there when it
// is read one by one, created or changed. The link to its file lives an hour.
type Template struct {
	Token             string           `json:"token"` // the key
	Type              string           `json:"template_type"`
	Name              string           `json:"name"`
	Active            bool             `json:"active"`
	File              string           `json:"template_file"`
	CreatedAt         Time             `json:"created_at"`
	LastUpdateAt      Time             `json:"last_update_at"`
	RedirectLink      string           `json:"redirect_link"`
	FolderPath        string           `json:"folder_path"`
	Lang              string           `json:"lang"`
	Signers           []TemplateSigner `json:"signers"`
	Inputs            []TemplateField  `json:"inputs"`
	NotifyExtraEmails string           `json:"notify_extra_emails"`
	CustomIntro       string           `json:"custom_intro"`
	YouTubeVideoCode  string           `json:"youtube_video_code"`
	ExtraTemplates    json.RawMessage  `json:"extra_templates"` // of no documented shape
}

// TemplateSigner is what a template says about one signer; in [TemplateInput] it
// is about the first one, where ZapSign reads only some of the fields.
type TemplateSigner struct {
	Name                 string `json:"name,omitempty"`
	AuthMode             string `json:"auth_mode,omitempty"`
	Email                string `json:"email,omitempty"`
	PhoneCountry         string `json:"phone_country,omitempty"`
	PhoneNumber          string `json:"phone_number,omitempty"`
	LockName             bool   `json:"lock_name,omitempty"`
	LockPhone            bool   `json:"lock_phone,omitempty"`
	LockEmail            bool   `json:"lock_email,omitempty"`
	HidePhone            bool   `json:"hide_phone,omitempty"`
	BlankPhone           bool   `json:"blank_phone,omitempty"`
	HideEmail            bool   `json:"hide_email,omitempty"`
	BlankEmail           bool   `json:"blank_email,omitempty"`
	RequireSelfiePhoto   bool   `json:"require_selfie_photo,omitempty"`
	RequireDocumentPhoto bool   `json:"require_document_photo,omitempty"`
	SelfieValidation     string `json:"selfie_validation_type,omitempty"`
	Qualification        string `json:"qualification,omitempty"`
}

// TemplateField is a field of a template's form.
type TemplateField struct {
	Variable string `json:"variable"` // with its braces: "{{NAME}}"
	// Type is one of input, email, phone_br, signer_fullname, radio, dopdown-list
	// (spelt so), checklist, date, ext-date, date-signature, cpf, cnpj, dinheiro.
	Type     string `json:"input_type"`
	Label    string `json:"label"`
	HelpText string `json:"help_text"`
	Options  string `json:"options"` // "A; B; C"
	Required bool   `json:"required"`
	Order    int    `json:"order"`
}

// SameAuthMode compares two ways to authenticate a signer as ZapSign means them:
// it writes the same one in several spellings (sheet 3.4).
func SameAuthMode(a, b string) bool {
	plain := strings.NewReplacer("_", "", "-", "")
	return strings.EqualFold(plain.Replace(a), plain.Replace(b))
}
