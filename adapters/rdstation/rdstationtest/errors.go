package rdstationtest

import (
	"fmt"
	"net/http"
	"slices"
)

// problem is one entry of an error body.
func problem(kind, message string) object {
	return object{"error_type": kind, "error_message": message}
}

// flat is shape A: one error under "errors" (sheet 5.1).
func flat(status int, kind, message string) reply {
	return reply{status: status, body: object{"errors": problem(kind, message)}}
}

// listed is shape B: errors with paths.
func listed(status int, problems ...object) reply {
	return reply{status: status, body: object{"errors": problems}}
}

func pathProblem(kind, message, path string) object {
	return object{"error_type": kind, "error_message": message, "path": path}
}

// fieldErrors collects shapes C, D and E: arrays by field, or by field and language.
type fieldErrors map[string]any

func (e fieldErrors) add(field, kind, message string) {
	list, _ := e[field].([]object)
	e[field] = append(list, problem(kind, message))
}

func (e fieldErrors) addLanguage(field, language, kind, message string) {
	languages, isObject := e[field].(map[string]any)
	if !isObject {
		languages = map[string]any{}
		e[field] = languages
	}
	list, _ := languages[language].([]object)
	languages[language] = append(list, problem(kind, message))
}

func (e fieldErrors) reply(status int) reply {
	return reply{status: status, body: object{"errors": e}}
}

// gateway is shape H.
func gateway(status int, code, description string) reply {
	return reply{status: status, body: object{"error": code, "error_description": description}}
}

func page(status int, title string) reply {
	return reply{status: status, body: fmt.Appendf(nil, "<html><head><title>%s</title></head><body><h1>%s</h1></body></html>", title, title)}
}

// crmProblem is an answer of the CRM v2, whose items nobody documents (U9).
func crmProblem(status int, kind, message, path string) reply {
	return listed(status, pathProblem(kind, message, path))
}

func leadNotFound() reply {
	return flat(http.StatusNotFound, "RESOURCE_NOT_FOUND", "Lead not found.")
}

func notFound() reply {
	return flat(http.StatusNotFound, "RESOURCE_NOT_FOUND", "The resource couldn't be found.")
}

func invalidToken() reply {
	return flat(http.StatusUnauthorized, "UNAUTHORIZED", "Invalid token.")
}

func malformed(s surface) reply {
	const message = "Could not parse the body of the request according to the provided Content-Type."
	if s == crmSurface {
		return crmProblem(http.StatusBadRequest, "BAD_REQUEST", message, "data")
	}
	return flat(http.StatusBadRequest, "BAD_REQUEST", message)
}

func mediaTypeError(s surface) reply {
	const message = "The payload is in a format not supported by this method on the target resource."
	if s == crmSurface {
		return crmProblem(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", message, "data")
	}
	return flat(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", message)
}

// technicalProblem is what the CRM v1 answers to broken parameters (F53).
func technicalProblem() reply {
	return reply{status: http.StatusInternalServerError, body: []byte("<html><body><p>Problemas técnicos são sempre inesperados, mas já estamos trabalhando nisso.</p></body></html>")}
}

// shapeSample is a body of the service's zoo.
type shapeSample struct {
	status int
	body   any
}

// shapeSamples are the thirteen shapes of sheet 5.1.
func shapeSamples() map[string]shapeSample {
	lead, blank := problem("RESOURCE_NOT_FOUND", "Lead not found."), problem("CANNOT_BE_BLANK", "Can not be blank")
	return map[string]shapeSample{
		"A": {404, object{"errors": lead}},
		"B": {400, object{"errors": []object{pathProblem("CANNOT_BE_NULL", "Cannot be null.", "body.code")}}},
		"C": {400, object{"errors": object{"tags": []object{problem("VALUES_MUST_BE_LOWERCASE", "must not contain capital letters")}}}},
		"D": {400, object{"errors": object{"label": object{"pt-BR": []object{blank}}}}},
		"E": {400, object{"errors": object{"label": object{"pt-BR": []object{blank}}, "api_identifier": []object{problem("TAKEN", "Already in use")}}}},
		"F": {400, []object{pathProblem("INVALID_OPTION", "Must be one of the valid options.", "$.event_type")}},
		"G": {429, object{"error": "'lead_limiter' rate limit exceeded for 86400 second(s) period for key 'bia@exemplo.com.br'", "max": 24, "usage": 25, "remaining_time": 43067}},
		"H": {401, object{"error": "invalid_token", "error_description": "The access token is invalid or has expired"}},
		"I": {429, object{"message": "API rate limit exceeded"}},
		"J": {401, problem("UNAUTHORIZED", "Invalid token.")},
		"K": {400, object{"errors": "Could not find a custom field that matches: 64df7a11113f800186449230"}},
		"L": {422, object{"errors": object{"subject": []string{"Assunto está muito curto, use no mínimo 3 caracteres."}}}},
		"M": {500, []byte("<html><body><h1>500 Internal Server Error</h1></body></html>")},
	}
}

// ErrorShapes returns the names of the shapes that error bodies have (sheet 5.1), for
// [Fault].Shape: "A" to "M".
func ErrorShapes() []string {
	names := []string{}
	for name := range shapeSamples() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
