<?php
// Receives webhooks of hopla, without any package: WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:8021 receiver.php

function is_verified(string $body, string $id, string $timestamp, string $signatures): bool
{
    if ($id === '' || !preg_match('/^\d{1,12}$/D', $timestamp) || abs(time() - (int) $timestamp) > 300) {
        return false;
    }
    $key = base64_decode(substr(getenv('WEBHOOK_SECRET'), strlen('whsec_')));
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    foreach (explode(' ', $signatures) as $signature) {
        if (hash_equals($expected, $signature)) {
            return true;
        }
    }
    return false;
}

$body = file_get_contents('php://input'); // the bytes as they came, not JSON that was written anew
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$signatures = $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '';
if (!is_verified($body, $id, $timestamp, $signatures)) {
    http_response_code(400);
    exit;
}
http_response_code(204);
// In earnest: insert $id and $body into a table where the id is unique, and do the work later. A double changes nothing.
file_put_contents('php://stderr', json_decode($body)->type . "\n");
